#!/usr/bin/env bash
# Lets the real cloud-init work through deploy/cloud-init/user-data.yaml in a minimal Debian 12 in a folder,
# from the bundle of scripts/package.sh to a trained model, with STOP_WHEN_DONE=yes. For developers;
# removes everything it made.
#
# What stands between this and an instance: there the kernel boots, a network brings the file and the
# bundle, and weights and data can be downloaded. Here nothing can be, so the built-in sample is trained;
# and `shutdown` only writes that it was called.
#
# Needs root, debootstrap, 2 GB in /var/tmp, and the network for Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'cloud-init check: %s\n' "$*" >&2; }
die() { printf 'cloud-init check: error: %s\n' "$1" >&2; exit "$2"; }

# shellcheck source=scripts/debian_root.sh
source scripts/debian_root.sh
require_tools util-linux unshare

archive=$(bundle)

new_root --variant=minbase
cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
# What the images of Debian for EC2 have.
logged chroot "$root" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends cloud-init curl ca-certificates sudo
cp "$archive" "$root/srv/bundle.tar.gz"

# The instance's ordinary user, and of cloud-init's modules only those that carry the file out: others
# would set host names and resize disks.
cat >"$root/etc/cloud/cloud.cfg" <<'CFG'
datasource_list: [NoCloud]
network: {config: disabled}
system_info: {distro: debian, default_user: {name: admin, sudo: ["ALL=(ALL) NOPASSWD:ALL"], shell: /bin/bash}}
users: [default]
cloud_init_modules: [write-files, users-groups]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
CFG
rm -f "$root"/etc/cloud/cloud.cfg.d/*
mkdir -p "$root/var/lib/cloud/seed/nocloud"
echo 'instance-id: check' >"$root/var/lib/cloud/seed/nocloud/meta-data"
sed -e 's|SOURCE=https.*|SOURCE=file:///srv/bundle.tar.gz|; s|STOP_WHEN_DONE=no$|STOP_WHEN_DONE=yes|' \
    deploy/cloud-init/user-data.yaml >"$root/var/lib/cloud/seed/nocloud/user-data"
printf '#!/bin/sh\necho "shutdown $*" >>/srv/shutdown\n' >"$root/usr/sbin/shutdown"
chmod 755 "$root/usr/sbin/shutdown"

# Without network, with a /proc and a host name of its own and no device of this machine but the
# harmless ones.
# shellcheck disable=SC2016  # Expanded by the inner shell.
unshare --mount --net --uts --pid --fork --propagation private bash -euc '
    root=$1
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/dev"
    for device in null zero urandom random; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    for stage in "init --local" init "modules --mode=config" "modules --mode=final"; do
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" cloud-init $stage
    done' bash "$root" </dev/null >"$root/srv/cloud-init.log" 2>&1 ||
    { tail -n 40 "$root/srv/cloud-init.log" >&2; die "cloud-init failed" 1; }

log=$root/var/log/ec2train-first-run.log
[[ -s $log ]] || { tail -n 40 "$root/srv/cloud-init.log" >&2; die "the program of runcmd did not run" 1; }
tail -n 4 "$log" >&2
model=$root/home/admin/ec2train/TrainedModels/sample/model.pth
[[ -s $model ]] || die "there is no model; the last lines above say why" 1
[[ $(stat --format=%u "$model") == 1000 ]] || die "the model does not belong to the ordinary user" 1
grep --quiet 'shutdown --poweroff +1' "$root/srv/shutdown" || die "STOP_WHEN_DONE=yes did not stop the machine" 1
say "passed: a model of user admin's, and a shutdown"
