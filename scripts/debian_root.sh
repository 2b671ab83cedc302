# shellcheck shell=bash
# A minimal Debian 12 in a folder, for the scripts that try something where nothing is installed. To be
# sourced, from the repository's root, by a script that has `say MESSAGE` and `die MESSAGE EXIT_CODE`.

readonly SUITE=bookworm

# require_tools PACKAGES TOOL...: ends with 77 without root, with 69 without a tool.
require_tools() {
    local packages=$1 tool
    shift
    ((EUID == 0)) || die "a new root folder needs root: sudo $0" 77
    for tool in debootstrap "$@"; do
        command -v "$tool" >/dev/null || die "missing: $tool (apt-get install debootstrap $packages)" 69
    done
}

# new_root DEBOOTSTRAP_OPTION...: installs Debian into $root, which goes when the script ends. Nothing
# of this machine may ever be mounted below it where this shell sees it, but in a mount namespace.
new_root() {
    root=$(mktemp --directory --tmpdir=/var/tmp)
    trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
    chmod 755 "$root"
    say "installing Debian $SUITE into $root"
    logged debootstrap "$@" "$SUITE" "$root"
}

# logged COMMAND...: shows what it printed only when it fails.
logged() {
    "$@" >"$root.log" 2>&1 || { tail "$root.log" >&2; die "$1 failed; the lines above say why" 69; }
}

# bundle: the path of the bundle of scripts/package.sh, which is made if there is none.
bundle() {
    local archive
    archive=$(find target -maxdepth 1 -name 'ec2train-*-x86_64.tar.gz' | head -n 1)
    [[ -n $archive ]] || archive=$(scripts/package.sh)
    echo "$archive"
}

# lend DIR: gives the root in DIR what a build there needs of this network: its certificate authority, which
# update-ca-certificates adds to Debian's, and Rust where sh.rustup.rs cannot be reached. lent_rustup
# then names the toolchains, to be mounted at /root/.rustup.
lend() {
    mkdir -p "$1/usr/local/share/ca-certificates"
    find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t "$1/usr/local/share/ca-certificates" {} +
    lent_rustup=
    if ! curl --fail --silent --location --connect-timeout 10 --output /dev/null https://sh.rustup.rs; then
        lent_rustup=${RUSTUP_HOME:-$HOME/.rustup}
        [[ -d $lent_rustup ]] || die "sh.rustup.rs cannot be reached, and there is no rustup here to lend" 69
        say "sh.rustup.rs cannot be reached: lending $lent_rustup, so installing Rust is not tried"
        mkdir -p "$1/root/.cargo/bin" "$1/root/.rustup"
        cp --archive "${CARGO_HOME:-$HOME/.cargo}/bin/." "$1/root/.cargo/bin/"
    fi
}

# build_in DIR [NAME=VALUE]... COMMAND...: runs a command in the root in DIR as its root, with the network,
# /proc, /dev and what `lend` lent. They are mounted in a mount namespace of their own, which ends with the
# command, however that ends.
build_in() {
    local dir=$1
    shift
    # shellcheck disable=SC2016  # Expanded by the inner shell.
    unshare --mount --propagation private bash -euc '
        root=$1 lent_rustup=$2
        shift 2
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        if [[ -n $lent_rustup ]]; then
            mount --bind "$lent_rustup" "$root/root/.rustup"
            mount -o remount,bind,ro "$root/root/.rustup"
        fi
        exec chroot "$root" env -i "$@"' build_in "$dir" "$lent_rustup" \
        HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${no_proxy:+no_proxy="$no_proxy"} "$@" </dev/null
}
