#!/usr/bin/env bash
# Boots a minimal Debian 12 with its own systemd in a container, installs the schedule there from the bundle
# of scripts/package.sh, and lets the real timer start the real service, confined as it is installed. Then
# a start beside another run, a stop in the midst of a run, and the removal. Takes five minutes. For
# developers; removes everything it made.
#
# Needs root, debootstrap, systemd-nspawn, 1.5 GB in /var/tmp, and the network for debootstrap.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'systemd check: %s\n' "$*" >&2; }
die() { printf 'systemd check: error: %s\n' "$1" >&2; exit "$2"; }

# shellcheck source=scripts/debian_root.sh
source scripts/debian_root.sh
require_tools systemd-container systemd-nspawn

archive=$(bundle)

new_root --variant=minbase --include=systemd-sysv,dbus

# The bundle, with four classes of the built-in sample as its data set.
tar --extract --file="$archive" --directory="$root/opt"
mv "$root"/opt/ec2train-* "$root/opt/ec2train"
(cd "$root/opt/ec2train" && ./ec2train sample) 2>"$root/root/sample.log" || { cat "$root/root/sample.log" >&2; exit 1; }
data=$root/opt/ec2train/data
mkdir -p "$data/weights"
mv "$data"/sample/weights/*.pth "$data/weights/"
for split in train valid test; do
    mkdir -p "$data/dogImages/$split"
    mv "$data/sample/images/$split"/00[1-4]* "$data/dogImages/$split/"
done
rm -rf "$data/sample"
chroot "$root" useradd --create-home ec2
chroot "$root" chown -R ec2:ec2 /opt/ec2train

cat >"$root/root/check" <<'INSIDE'
#!/usr/bin/env bash
# Runs as a service of the container. Its last line is the verdict.
set -euo pipefail
trap 'echo "verdict: $?"; systemctl poweroff' EXIT
cd /opt/ec2train

result() { systemctl show --property=Result,ExecMainStatus --value ec2train.service | tr '\n' ' '; }

# The second call counts; the delay that spreads machines out would only take time here.
sed -i 's/^RandomizedDelaySec=.*/RandomizedDelaySec=0/' deploy/systemd/ec2train.timer
scripts/install_schedule.sh --at 23:59
scripts/install_schedule.sh --at "$(date --date '80 seconds' +%H:%M)"
systemctl list-timers --no-pager ec2train.timer
for _ in {1..240}; do
    sleep 1
    if [[ -s TrainedModels/model.pth && $(systemctl show --property=ActiveState --value ec2train.service) == inactive ]]; then
        break
    fi
done
journalctl --unit ec2train --no-pager --output=cat | grep -v epoch
[[ $(stat --format=%U TrainedModels/model.pth) == ec2 ]]
[[ $(result) == "success 0 " ]]
echo "the timer started the service, which left a model: $(result)"

exec 9>>TrainedModels/.lock
flock 9
systemctl start ec2train.service
exec 9>&-
[[ $(result) == "success 75 " ]]
echo "beside another run: $(result)"

rm -rf TrainedModels/features
systemctl start --no-block ec2train.service
sleep 3
systemctl stop ec2train.service
[[ $(result) == "success 143 " ]]
echo "stopped: $(result)"

scripts/install_schedule.sh --remove
[[ -z $(systemctl list-unit-files --no-legend 'ec2train.*') ]]
scripts/install_schedule.sh --remove
echo "removed, twice"
INSIDE
chmod 755 "$root/root/check"
cat >"$root/etc/systemd/system/check.service" <<'UNIT'
[Service]
ExecStart=/root/check
StandardOutput=file:/root/check.log
StandardError=inherit
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../check.service "$root/etc/systemd/system/multi-user.target.wants/"

say "booting"
timeout 900 systemd-nspawn --quiet --register=no --keep-unit --private-network --boot --directory="$root" \
    >"$root/root/console.log" 2>&1 </dev/null || true
cat "$root/root/check.log" >&2
grep --quiet '^verdict: 0$' "$root/root/check.log" || die "the last lines above say what failed" 1
say "passed"
