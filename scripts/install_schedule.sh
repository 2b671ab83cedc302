#!/usr/bin/env bash
# Trains every night: by a systemd timer where systemd runs, otherwise by cron. May be repeated at any
# time; the last call counts.
#
#   scripts/install_schedule.sh [--at HH:MM] [--with systemd|cron] [--dry-run]
#   scripts/install_schedule.sh --remove [--with systemd|cron] [--dry-run]
#
#   --at HH:MM  the machine's local time, 02:30 by default
#   --with      instead of what this machine has
#   --remove    undoes it; models and logs stay
#   --dry-run   prints what would be installed, or removed, and changes nothing
#
# As root it installs system units, or a line in the crontab of this folder's owner, so that the runs are the
# owner's; as another user, units or a line of that user's. Cron runs scripts/run_scheduled.sh, which mails
# failures only.
#
# Exit codes: 64 usage, 66 no program, 69 neither systemd nor cron, 77 permission.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly UNITS=(ec2train.service ec2train.timer)

say() { printf 'schedule: %s\n' "$*" >&2; }
die() { printf 'schedule: error: %s\n' "$1" >&2; exit "$2"; }
usage() { die "$1; usage: scripts/install_schedule.sh [--at HH:MM] [--with systemd|cron] [--remove] [--dry-run]" 64; }

time=02:30
with=
remove=
dry_run=
while (($#)); do
    case $1 in
        --at) time=${2:-}; shift ;;
        --with) with=${2:-}; shift ;;
        --remove) remove=1 ;;
        --dry-run) dry_run=1 ;;
        *) usage "$1 is not known" ;;
    esac
    shift || usage "a value is missing"
done
[[ $time =~ ^([01][0-9]|2[0-3]):[0-5][0-9]$ ]] || usage "--at wants a time as in 02:30, not '$time'"

if [[ -z $with ]]; then
    # As sd_booted(3) does.
    if [[ -d /run/systemd/system ]]; then with=systemd
    elif command -v crontab >/dev/null; then with=cron
    else die "there is neither systemd nor crontab here; install cron (apt-get install cron, dnf install cronie)" 69
    fi
fi
[[ $with == systemd || $with == cron ]] || usage "--with wants systemd or cron, not '$with'"

# Units or crontabs give these a meaning of their own.
[[ $PWD != *[[:space:]%\|\&\\\"\'\$]* ]] || die "the path $PWD has a blank or one of % | & \\ \" ' \$: move the folder" 64

owner=$(stat --format=%U .)
program=$PWD/ec2train
[[ -x $program ]] || program=$PWD/target/release/ec2train

# --- systemd --------------------------------------------------------------------------------------

systemctl=(systemctl)
unit_dir=/etc/systemd/system
if ((EUID != 0)); then
    systemctl=(systemctl --user)
    unit_dir=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
fi

# Prints the unit file $1 with everything put in.
unit() {
    local edit
    edit="s|@DIR@|$PWD|g; s|@PROGRAM@|$program|; s|@USER@|$owner|; s|@TIME@|$time|"
    # A user's own manager may not do what is left out.
    ((EUID == 0)) || edit+='; /^# --- System service only/,$ d'
    sed "$edit" "deploy/systemd/$1"
}

install_systemd() {
    local name
    mkdir -p "$unit_dir"
    # The unit wants it to be there. It belongs to whom this folder belongs.
    [[ -d TrainedModels ]] || install --directory --owner="$owner" TrainedModels
    for name in "${UNITS[@]}"; do
        unit "$name" >"$unit_dir/$name.new"
        chmod 644 "$unit_dir/$name.new"
        mv "$unit_dir/$name.new" "$unit_dir/$name"
    done
    "${systemctl[@]}" daemon-reload
    "${systemctl[@]}" enable --quiet ec2train.timer
    # Not --now: a timer that is already there would keep its time.
    "${systemctl[@]}" restart ec2train.timer
    if ((EUID != 0)) && ! loginctl enable-linger; then
        say "warning: as root: loginctl enable-linger $USER; without it nothing runs while $USER is not logged in"
    fi
    say "every night at $time: ${systemctl[*]} list-timers ec2train.timer"
    say "the log: journalctl ${systemctl[1]:-}${systemctl[1]:+ }--unit ec2train"
}

remove_systemd() {
    "${systemctl[@]}" disable --now ec2train.timer 2>/dev/null || true
    rm -f "${UNITS[@]/#/$unit_dir/}"
    "${systemctl[@]}" daemon-reload
    say "removed. A run that is at work goes on: ${systemctl[*]} stop ec2train"
}

# --- cron -----------------------------------------------------------------------------------------

crontab=(crontab)
((EUID != 0)) || crontab=(crontab -u "$owner")

# Ends the line of this folder's job; a comment to the shell that cron starts.
marker="# ec2train in $PWD"

cron_line() {
    printf '%d %d * * * %q %s\n' "$((10#${time#*:}))" "$((10#${time%:*}))" "$PWD/scripts/run_scheduled.sh" "$marker"
}

# Prints the crontab without our line. One that cannot be read must not be overwritten.
other_jobs() {
    local jobs
    if ! jobs=$(LC_ALL=C "${crontab[@]}" -l 2>&1); then
        [[ $jobs == *"no crontab for"* ]] || die "cannot read the crontab: $jobs" 77
        return 0
    fi
    # Line by line: the marker must be the end of it, or that of /srv/a would be found in /srv/ab's.
    [[ -z $jobs ]] || awk -v marker="$marker" 'substr($0, length($0) - length(marker) + 1) != marker' <<<"$jobs"
}

install_cron() {
    local jobs
    jobs=$(other_jobs)
    { [[ -z $jobs ]] || printf '%s\n' "$jobs"; cron_line; } | "${crontab[@]}" - || die "crontab refused the line" 77
    say "every night at $time: ${crontab[*]} -l; the logs: $PWD/TrainedModels/log"
}

remove_cron() {
    local jobs
    jobs=$(other_jobs)
    if [[ -n $jobs ]]; then
        printf '%s\n' "$jobs" | "${crontab[@]}" -
    else
        "${crontab[@]}" -r 2>/dev/null || true
    fi
    say "removed. A run that is at work goes on"
}

# --------------------------------------------------------------------------------------------------

if [[ -n $dry_run ]]; then
    case $with/${remove:-0} in
        systemd/0) for name in "${UNITS[@]}"; do printf '# %s\n' "$unit_dir/$name"; unit "$name"; done ;;
        systemd/1) printf 'rm %s\n' "${UNITS[@]/#/$unit_dir/}" ;;
        cron/0) cron_line ;;
        cron/1) printf 'the crontab line that ends in %s\n' "$marker" ;;
    esac
elif [[ -n $remove ]]; then
    "remove_$with"
else
    [[ -x $program ]] || die "there is no $program yet; scripts/train.sh builds it" 66
    "install_$with"
fi
