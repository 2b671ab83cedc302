#!/usr/bin/env bash
# Tries the bundle of scripts/package.sh where nothing is installed: unpacks it in a minimal Debian 12 in a
# folder, without compiler, Python or network, and trains the built-in sample there as an ordinary
# user. For developers; removes everything it made.
#
# Needs root, debootstrap, 1.5 GB in /var/tmp, and the network for debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'package check: %s\n' "$*" >&2; }
die() { printf 'package check: error: %s\n' "$1" >&2; exit "$2"; }

# shellcheck source=scripts/debian_root.sh
source scripts/debian_root.sh
require_tools util-linux unshare

archive=$(bundle)

new_root --variant=minbase
cp "$archive" "$root/home/"

# Runs a command in the new root as user `ec2`, without network, with a /proc of its own and no device
# of this machine but the harmless ones.
in_root() {
    # shellcheck disable=SC2016  # Expanded by the inner shell.
    unshare --mount --net --pid --fork --propagation private bash -euc '
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/dev"
        for device in null zero urandom; do
            touch "$root/dev/$device"
            mount --bind "/dev/$device" "$root/dev/$device"
        done
        exec chroot --userspec=1000:1000 "$root" env -i "$@"' in_root "$root" \
        HOME=/home/ec2 LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin "$@" </dev/null
}

chroot "$root" useradd --uid 1000 --create-home ec2
for tool in cc gcc c++ ld python3 cargo rustc; do
    if in_root bash -c "command -v $tool" >/dev/null; then
        die "this root is not bare: it has $tool" 70
    fi
done
say "glibc: $(in_root ldd --version | head -n 1)"

in_root tar --extract --file="/home/${archive##*/}" --directory=/home/ec2
rm "$root/home/${archive##*/}"
folder=/home/ec2/$(basename "$archive" -x86_64.tar.gz)
say "unpacked: $(du -sh "$root$folder" | cut -f 1)"

# Every library comes from the bundle or from /lib.
for program in ec2train ec2train-torch; do
    in_root ldd "$folder/$program" >"$root/libraries"
    if grep 'not found' "$root/libraries" >&2; then die "$program: libraries are missing" 70; fi
    say "$program: from the bundle: $(grep -o "$folder/lib/[^ ]*" "$root/libraries" | sed 's|.*/||' | sort | tr '\n' ' ')"
    if objdump -p "$root$folder/$program" | grep -E 'R(UN)?PATH' | grep --invert-match --quiet "[[:space:]]\$ORIGIN/lib\$"; then
        die "$program looks for libraries in a folder of the machine that built it" 70
    fi
done

say "$(in_root "$folder/ec2train" --version)"
start=$SECONDS
# shellcheck disable=SC2016  # Expanded in the new root.
in_root bash -c 'cd "$1" && ./ec2train train --sample' bash "$folder"
say "ec2train train --sample ended well after $((SECONDS - start)) s"
# shellcheck disable=SC2016
in_root bash -c 'cd "$1" && ./ec2train predict --sample "$(ls -d data/sample/images/test/*/* | head -n 1)"' bash "$folder"
# What takes libtorch.
# shellcheck disable=SC2016
in_root bash -c 'cd "$1" && ./ec2train export --sample' bash "$folder"
# shellcheck disable=SC2016
in_root bash -c 'cd "$1" && scripts/install_schedule.sh --with cron --dry-run' bash "$folder"
say "passed"
