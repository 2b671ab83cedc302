#!/usr/bin/env bash
# Ends training runs at random instants, on data/dogImages and data/weights, and starts them again:
#
#   scripts/fault_test.sh [--kills N] [--stops N] [--forget IMAGES] [--seed N]
#
# After each `kill -9` (500) the next start must end with model.pth byte for byte as an undisturbed run
# makes it. SIGTERM must end a run with 143 within 2 s, 50 times; one that comes when the run is done
# does not count. Beside it a reader looks at
# model.pth and model.json all the time, which must belong together. Before each run the last
# features (40 images') are forgotten, so that the instants spread over all stages. TrainedModels is not
# touched: everything is written to a temporary folder. Ends with 1 at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'fault: %s\n' "$*" >&2; }
die() { say "error: $1"; exit 1; }

kills=500 stops=50 forget=40 seed=133
while (($#)); do
    case $1 in
        --kills) kills=$2 ;;
        --stops) stops=$2 ;;
        --forget) forget=$2 ;;
        --seed) seed=$2 ;;
        *) say "error: unknown argument $1"; exit 64 ;;
    esac
    shift 2
done
RANDOM=$seed

cargo build --locked --release --bins
program=$PWD/target/release/ec2train
scratch=$(mktemp --directory)
reader=
trap '[[ -z $reader ]] || kill "$reader" 2> /dev/null || true; rm -rf "$scratch"' EXIT
mkdir "$scratch/data"
ln -s "$PWD/data/weights" "$scratch/data/weights"
cp --recursive --symbolic-link "$(realpath data/dogImages)" "$scratch/data/dogImages"
cd "$scratch"

# A record of a feature file: header, 2048 floats, checksum.
record_bytes=8240

now_ms() { echo $(($(date +%s%N) / 1000000)); }
pause_ms() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }
# A random number below $1, from two of 15 bits.
below() { echo $(((RANDOM * 32768 + RANDOM) % $1)); }
model_hash() { sha256sum TrainedModels/model.pth | cut -d ' ' -f 1; }

last_class() {
    local classes=(data/dogImages/train/*/)
    basename "${classes[-1]}"
}

# Gives the last class another name: another model by model.json, of the same bytes, so that a run has
# something to do when all features are there.
rename_class() {
    local class split
    class=$(last_class)
    for split in train valid test; do
        mv "data/dogImages/$split/$class" "data/dogImages/$split/$renamed"
    done
    renamed=$class
}

# Cuts off the features of the last images.
forget() {
    local file
    for file in TrainedModels/features/features-*.bin; do
        truncate --size=-$((forget * record_bytes)) "$file"
    done
}

finish() {
    "$program" > finish.out 2> finish.log || { cat finish.log >&2; die "the next start failed: $1"; }
    [[ $(model_hash) == "$expected" ]] || die "model.pth differs: $1"
}

# Reads the pair until it is told to end; a line for each reading.
read_pairs() {
    local dir said
    while true; do
        dir=$(readlink --canonicalize TrainedModels/current)
        said=$(sed -n 's/^  "model_sha256": "\(.*\)",$/\1/p' "$dir/model.json")
        if [[ -n $said && $said == $(sha256sum < "$dir/model.pth" | cut -d ' ' -f 1) ]]; then
            echo good
        else
            echo "bad: $dir"
        fi
    done
}

say "an undisturbed run of all images"
"$program" > first.out 2> first.log || { cat first.log >&2; die "the undisturbed run failed"; }
expected=$(model_hash)
renamed=$(last_class)_
rename_class
forget
start=$(now_ms)
finish "nothing was killed"
duration=$(($(now_ms) - start))
say "model.pth is $expected; a run with $forget images to compute takes $duration ms"
read_pairs > reader.log 2>&1 &
reader=$!

for ((i = 1; i <= kills; i++)); do
    rename_class
    forget
    delay=$(below "$duration")
    "$program" > killed.out 2> killed.log & run=$!
    pause_ms "$delay"
    kill -KILL "$run" 2> /dev/null || true
    wait "$run" 2> /dev/null || true
    stage=$(sed -n 's/.*"stage":"\([^"]*\)".*/\1/p' TrainedModels/status.json)
    finish "killed after $delay ms in stage $stage"
    ! grep --quiet '^bad' reader.log || die "a reader found $(grep --max-count=1 '^bad' reader.log)"
    echo "$stage" >> stages.kill
    ((i % 25)) || say "$i kills"
done

slowest=0 num_143=0 num_done=0
for ((i = 1; num_143 < stops; i++)); do
    ((i <= 4 * stops)) || die "only $num_143 of $i runs were still at work when SIGTERM came"
    rename_class
    forget
    delay=$(below "$duration")
    "$program" > stopped.out 2> stopped.log & run=$!
    pause_ms "$delay"
    start=$(now_ms)
    kill -TERM "$run" 2> /dev/null || true
    code=0
    wait "$run" || code=$?
    took=$(($(now_ms) - start))
    stage=$(sed -n 's/.*"stage":"\([^"]*\)".*/\1/p' TrainedModels/status.json)
    if ((code == 143)); then
        num_143=$((num_143 + 1))
    elif ((code == 0)) && grep --quiet -e '^Saved' -e 'is up to date' stopped.out; then
        num_done=$((num_done + 1))
    else
        cat stopped.log >&2
        die "SIGTERM after $delay ms in stage $stage: exit code $code"
    fi
    ((took < 2000)) || die "SIGTERM after $delay ms in stage $stage: it took $took ms"
    slowest=$((took > slowest ? took : slowest))
    echo "$stage" >> stages.stop
done
finish "stopped $stops times"

kill "$reader" 2> /dev/null || die "the reader ended: $(tail -n 1 reader.log)"
wait "$reader" 2> /dev/null || true
reader=
! grep --quiet '^bad' reader.log || die "a reader found $(grep --max-count=1 '^bad' reader.log)"

# The stages of the file $1 with how often each was hit.
spread() { if [[ -s $1 ]]; then sort "$1" | uniq --count | awk '{ n = $1; $1 = ""; printf "%s%s %d", s, $0, n; s = "," }'; fi; }
printf '%d kills, each followed by a run to the same bytes of model.pth; by stage:%s\n' \
    "$kills" "$(spread stages.kill)"
printf '%d times SIGTERM: %d times exit 143, %d times done before, the slowest end %d ms; by stage:%s\n' \
    "$((num_143 + num_done))" "$num_143" "$num_done" "$slowest" "$(spread stages.stop)"
printf 'a reader found model.pth and model.json together %d times out of %d\n' \
    "$(grep --count '^good' reader.log)" "$(wc -l < reader.log)"
