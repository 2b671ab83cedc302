#!/usr/bin/env bash
# Checks what starts the program by itself: the systemd units, the cloud-init file, and the crontab line,
# which a real cron runs three times in namespaces of its own, where no job of this machine exists.
# Takes about four minutes. For developers; leaves nothing behind.
#
# What needs root or a tool that is not here says SKIPPED.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'schedule check: %s\n' "$*" >&2; }
die() { printf 'schedule check: error: %s\n' "$1" >&2; exit "$2"; }

# Whether the tools $2... are here; says what is skipped otherwise.
have() {
    local what=$1 tool
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { say "SKIPPED: $what: there is no $tool"; return 1; }
    done
}

# A folder as it is after unpacking a bundle, with program $2.
lay_out() {
    mkdir -p "$1/TrainedModels"
    cp -r --parents scripts/install_schedule.sh scripts/run_scheduled.sh deploy/systemd "$1/"
    cp "$2" "$1/ec2train"
    [[ ! -d .libtorch/lib ]] || ln -s "$(realpath .libtorch/lib)" "$1/lib"
}

# --- Units ----------------------------------------------------------------------------------------

check_units() {
    have "the units" systemd-analyze || return 0
    local folder=$work/units name
    lay_out "$folder" /bin/true
    local install=("$folder/scripts/install_schedule.sh" --with systemd --at 03:15 --dry-run)
    for name in service timer; do
        # The dry run writes each file under its path.
        "${install[@]}" | awk -v name="ec2train.$name" '/^# \// { on = $0 ~ name "$"; next } on' >"$folder/ec2train.$name"
    done
    systemd-analyze verify "$folder/ec2train.service" "$folder/ec2train.timer"
    say "systemd-analyze verify: both units are well-formed"
    systemd-analyze calendar --iterations 2 "$(sed -n 's/^OnCalendar=//p' "$folder/ec2train.timer")" >&2
    say "systemd-analyze security: $(systemd-analyze security --offline=yes "$folder/ec2train.service" | tail -n 1)"

    if ((EUID == 0)); then
        chmod 755 "$work"
        setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent "${install[@]}" |
            awk '/^# \// { on = /ec2train.service$/; next } on' >"$folder/ec2train.service"
        ! grep --quiet '^ProtectSystem\|^User' "$folder/ec2train.service" || die "the user unit has what only a system unit may" 1
        XDG_RUNTIME_DIR=$folder systemd-analyze --user verify "$folder/ec2train.service"
        say "systemd-analyze --user verify: the service of an ordinary user is well-formed"
    fi
}

# --- Shell and cloud-init -------------------------------------------------------------------------

check_scripts() {
    local user_data=deploy/cloud-init/user-data.yaml
    # EC2's limit on user data.
    (($(stat --format=%s "$user_data") <= 16384)) || die "$user_data is over 16 KB" 1
    if have "the schema of $user_data" cloud-init; then
        cloud-init schema --config-file "$user_data" >&2
    fi
    have "shellcheck" shellcheck || return 0
    shellcheck --external-sources scripts/*.sh .ci/run
    # The program within it: the lines of the last block literal, without their indentation.
    sed -n '/ec2train-first-run$/,/^runcmd:/ { /^      /p }' "$user_data" | sed 's/^      //' >"$work/first-run.sh"
    shellcheck "$work/first-run.sh"
    say "shellcheck: all scripts, and the one in $user_data"
}

# --- cron -----------------------------------------------------------------------------------------

# A folder with a few classes of the built-in sample as its data set.
lay_out_data() {
    local folder=$1 split class
    (cd "$folder" && ./ec2train sample) 2>"$work/sample.log" || { cat "$work/sample.log" >&2; return 1; }
    mkdir -p "$folder/data/weights"
    mv "$folder"/data/sample/weights/*.pth "$folder/data/weights/"
    for split in train valid test; do
        mkdir -p "$folder/data/later/$split"
        for class in "$folder/data/sample/images/$split"/00[1-4]*; do
            mv "$class" "$folder/data/later/$split/"
        done
    done
    rm -rf "$folder/data/sample"
}

count_logs() {
    local logs=("$1"/TrainedModels/log/*.log)
    if [[ -e ${logs[0]} ]]; then echo "${#logs[@]}"; else echo 0; fi
}

# Puts the job at the next minute that is at least ten seconds away, and waits until it has ended.
tick() {
    local folder=$1 num_logs at
    num_logs=$(count_logs "$folder")
    at=$(date --date '10 seconds' +%s)
    at=$(date --date "@$((at - at % 60 + 60))" +%H:%M)
    "$folder/scripts/install_schedule.sh" --with cron --at "$at" 2>/dev/null
    (($(crontab -l | grep --count run_scheduled) == 1)) || die "the crontab has several lines of ours" 1
    for _ in {1..300}; do
        sleep 1
        if (($(count_logs "$folder") > num_logs)) && ! pgrep --full "$folder/scripts/run_scheduled.sh" >/dev/null; then
            # cron mails after the job has ended.
            sleep 1
            return
        fi
    done
    die "cron did not run the job at $at" 1
}

# In the namespaces: root's crontab and all others are empty, and mail goes into a file.
inside() {
    local folder=$1 mail=$1/mail
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /etc/cron.d
    mount --bind /dev/null /etc/crontab
    mount -t tmpfs -o "mode=1730,gid=$(stat --format=%g /var/spool/cron/crontabs)" tmpfs /var/spool/cron/crontabs
    mkdir "$folder/upper" "$folder/overlay"
    mount -t tmpfs tmpfs "$folder/upper"
    mkdir "$folder"/upper/{files,work}
    printf '#!/bin/sh\ncat >>%s\n' "$mail" >"$folder/upper/files/sendmail"
    chmod 755 "$folder/upper/files/sendmail"
    mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$folder/upper/files,workdir=$folder/upper/work" overlay /usr/sbin

    # A job of someone else's that has to stay.
    echo '0 5 1 1 * /bin/true # not ours' | crontab -
    cron -f &
    local cron=$!
    # It compares whole seconds to see whether a crontab has changed.
    sleep 2

    tick "$folder"
    if ! grep --quiet 'ec2train ended with 66' "$mail" || ! grep --quiet 'data/dogImages' "$mail"; then
        die "no mail about a run without data" 1
    fi
    say "a run without data: mail of $(wc -l <"$mail") lines, the headers included"

    rm "$mail"
    mv "$folder/data/later" "$folder/data/dogImages"
    tick "$folder"
    [[ -s $folder/TrainedModels/model.pth ]] || { cat "$folder"/TrainedModels/log/* >&2; die "cron's run left no model" 1; }
    [[ ! -e $mail ]] || { cat "$mail" >&2; die "mail although the run ended well" 1; }
    say "a run with data: a model, no mail"

    exec 8>>"$folder/TrainedModels/.lock"
    flock 8
    tick "$folder"
    exec 8>&-
    local logs=("$folder"/TrainedModels/log/*.log)
    grep --quiet 'another run is at work' "${logs[-1]}" || die "the last run did not meet the lock" 1
    [[ ! -e $mail ]] || { cat "$mail" >&2; die "mail although another run was at work" 1; }
    say "a run beside another: no mail"

    "$folder/scripts/install_schedule.sh" --with cron --remove 2>/dev/null
    [[ $(crontab -l) == '0 5 1 1 * /bin/true # not ours' ]] || die "--remove did not leave the other job alone" 1
    say "removed; the other job is still there"
    kill "$cron"
}

check_cron() {
    have "cron" cron crontab unshare flock || return 0
    ((EUID == 0)) || { say "SKIPPED: cron: a mount namespace with a crontab of its own needs root"; return 0; }
    [[ -x target/release/ec2train ]] || { say "SKIPPED: cron: there is no target/release/ec2train"; return 0; }
    local folder=$work/cron
    lay_out "$folder" target/release/ec2train
    lay_out_data "$folder"
    unshare --mount --pid --fork --kill-child --mount-proc --propagation private "$0" --inside "$folder"
}

# --------------------------------------------------------------------------------------------------

if [[ ${1:-} == --inside ]]; then
    inside "$2"
    exit
fi
work=$(mktemp --directory --tmpdir=/var/tmp)
trap 'rm -rf --one-file-system "$work"' EXIT
check_units
check_scripts
check_cron
say "passed"
