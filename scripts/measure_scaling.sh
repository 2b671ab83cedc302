#!/usr/bin/env bash
# Times one process with two threads beside two processes with one thread each, on the same two cores, on
# data/dogImages and data/weights: whole runs from nothing, in turn. Prints a Markdown table of medians.
#
#   scripts/measure_scaling.sh [ROUNDS]     3 rounds unless it says otherwise
#
# EC2TRAIN names the program (default: target/release/ec2train). TrainedModels is not touched.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'scaling: %s\n' "$*" >&2; }
die() { printf 'scaling: error: %s\n' "$1" >&2; exit "$2"; }

rounds=${1:-3}
program=$(realpath "${EC2TRAIN:-target/release/ec2train}")
for tool in taskset jq; do
    command -v "$tool" >/dev/null || die "missing: $tool" 69
done
(($(nproc) >= 2)) || die "this machine has one core" 69

work=$(mktemp --directory --tmpdir=/var/tmp)
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir "$work/data"
ln -s "$(realpath data/dogImages)" "$work/data/dogImages"
ln -s "$(realpath data/weights)" "$work/data/weights"
cd "$work"

# Runs $1 processes on cores 0 and 1.
run() {
    local num=$1 rank pids=() pid cores=0,1
    rm -rf TrainedModels
    for ((rank = 0; rank < num; rank++)); do
        ((num == 1)) || cores=$rank
        RANK=$rank WORLD_SIZE=$num MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 \
            taskset --cpu-list "$cores" "$program" >"out.$rank" 2>"log.$rank" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || { tail log.* >&2; die "a run with $num processes failed" 1; }
    done
    jq --raw-output --argjson num "$num" '[$num, (.data | .num_train + .num_valid + .num_test),
        .cost.features_seconds, .cost.total_seconds, .model_sha256] | @tsv' TrainedModels/model.json >>figures
    ((num == 1)) || grep --only-matching '[0-9.]* MB exchanged.*' log.0 >>exchanged
}

median() { sort --numeric-sort | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# The median of column $2 of the runs with $1 processes.
of() { awk -v num="$1" -v column="$2" '$1 == num { print $column }' figures | median; }

# Reads the images once, so that no run waits for the disk.
run 1
rm figures
for ((round = 1; round <= rounds; round++)); do
    run 1
    run 2
    say "round $round of $rounds: $(tail --lines=2 figures | cut --fields=3 | paste --serial --delimiters=' ') s"
done
(($(cut --fields=5 figures | sort --unique | wc -l) == 1)) || die "the models differ" 1

images=$(of 1 2)
one=$(of 1 3) two=$(of 2 3)
echo "| | features, s | images/s | whole run, s |"
echo "|---|---|---|---|"
awk -v n="$images" -v s="$one" -v t="$(of 1 4)" 'BEGIN { printf "| 1 process, 2 threads | %.2f | %.1f | %.2f |\n", s, n / s, t }'
awk -v n="$images" -v s="$two" -v t="$(of 2 4)" 'BEGIN { printf "| 2 processes, 1 thread each | %.2f | %.1f | %.2f |\n", s, n / s, t }'
awk -v a="$one" -v b="$two" 'BEGIN { printf "\nThroughput with two processes: %.1f %% of that with one.\n", 100 * a / b }'
echo "model.pth has the same bytes in all runs. $(tail --lines=1 exchanged)."
