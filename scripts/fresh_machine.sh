#!/usr/bin/env bash
# Tries the README's two commands where nothing is prepared: in a minimal Debian 12 in a folder, on a
# clean clone of the last commit. For developers; removes everything it made.
#
# Needs root, debootstrap, git, 12 GB in /var/tmp, and the network. Where sh.rustup.rs cannot be reached,
# this machine's Rust is lent to the new one, read-only, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly COMMANDS=(scripts/train.sh scripts/test.sh)

say() { printf 'fresh machine: %s\n' "$*" >&2; }
die() { printf 'fresh machine: error: %s\n' "$1" >&2; exit "$2"; }

# shellcheck source=scripts/debian_root.sh
source scripts/debian_root.sh
require_tools "git util-linux" git unshare

new_root --variant=minbase
cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
git clone --quiet --no-hardlinks . "$root/root/ec2train"

lend "$root"

in_root() { build_in "$root" LANG=C.UTF-8 "$@"; }

# shellcheck disable=SC2016  # Expanded by dpkg-query.
packages() { in_root dpkg-query --show --showformat '${Package}\n' | sort; }

packages >"$root/before"
for command in "${COMMANDS[@]}"; do
    say "$command"
    start=$SECONDS
    status=0
    in_root "/root/ec2train/$command" || status=$?
    say "$command ended with $status after $((SECONDS - start)) s"
    ((status == 0)) || exit "$status"
done
say "packages that were installed: $(packages | comm -13 "$root/before" - | tr '\n' ' ')"
say "disk: $(du -sh --exclude=.rustup "$root" | cut -f1) in all, $(du -sh "$root/root/ec2train" | cut -f1) of it the clone"
