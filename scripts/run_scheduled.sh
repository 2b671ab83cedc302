#!/usr/bin/env bash
# Trains once, for cron: quiet unless something is wrong. cron mails what a job prints, so nothing is
# printed when the run ends well, or when another run is at work; otherwise the last lines of its log.
#
# Every run has its log in TrainedModels/log/. The last 30 are kept, of each the last megabyte.
#
# Exit code: that of ec2train.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly LOG_DIR=TrainedModels/log
readonly KEPT_LOGS=30
readonly KEPT_BYTES=1000000
readonly MAILED_LINES=20
readonly ANOTHER_RUN=75

# In a bundle the program lies beside README.txt; in a clone cargo has built it.
program=./ec2train
[[ -x $program ]] || program=target/release/ec2train
if [[ ! -x $program ]]; then
    echo "ec2train: no program in $PWD; scripts/train.sh builds it" >&2
    exit 66
fi

# Where no log can be written, as on a full disk, mail is better than silence.
log=$LOG_DIR/$(date --utc +%Y-%m-%dT%H-%M-%SZ)-$$.log
if ! { mkdir -p "$LOG_DIR" && : >"$log"; }; then
    exec "$program" train
fi

status=0
nice -n 10 "$program" train >"$log" 2>&1 </dev/null || status=$?

if ((status != 0 && status != ANOTHER_RUN)); then
    echo "ec2train ended with $status. The last lines of $PWD/$log:"
    tail -n "$MAILED_LINES" "$log"
fi

# Names begin with the time, so their order is that of the runs.
logs=("$LOG_DIR"/*.log)
((${#logs[@]} <= KEPT_LOGS)) || rm -f "${logs[@]:0:${#logs[@]}-KEPT_LOGS}"
if (($(stat --format=%s "$log") > KEPT_BYTES)); then
    tail -c "$KEPT_BYTES" "$log" >"$log.end" && mv "$log.end" "$log"
fi
exit "$status"
