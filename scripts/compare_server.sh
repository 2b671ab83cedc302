#!/usr/bin/env bash
# Times `ec2train serve` beside FastAPI + uvicorn + PyTorch on the same model, image and CPUs: one server at a
# time, in turn, with wrk at concurrency 1, 16 and 256. Prints a Markdown table.
#
#   scripts/compare_server.sh [--sample] [--seconds N] [--rounds N] [--bf16] [--compile] [--only-ec2train]
#
# With the model in TrainedModels (or TrainedModels/sample); IMAGE names the photograph (default: the first of
# the test split), EC2TRAIN the program, PYTHON an interpreter that has scripts/peers/server_requirements.txt
# (default: they are installed into .venv-server, 6 GB). --bf16 lets PyTorch compute in bf16 as well. The
# Python server runs as one process of two threads and as two processes of one. Needs wrk.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'compare_server: %s\n' "$*" >&2; }
die() { printf 'compare_server: error: %s\n' "$1" >&2; exit "$2"; }

readonly VENV=.venv-server REQUIREMENTS=scripts/peers/server_requirements.txt PORT=18970
sample=() model_dir=TrainedModels data=data/dogImages seconds=20 rounds=3 bf16=0 compile=0 peers=true
while (($#)); do
    case $1 in
        --sample) sample=(--sample) model_dir=TrainedModels/sample data=data/sample/images ;;
        --seconds) seconds=$2; shift ;;
        --rounds) rounds=$2; shift ;;
        --bf16) bf16=1 ;;
        --compile) compile=1 ;;
        --only-ec2train) peers=false ;;
        *) die "unknown argument $1" 64 ;;
    esac
    shift
done
command -v wrk > /dev/null || die "missing: wrk (Debian: apt-get install wrk)" 69
if $peers && [[ -z ${PYTHON:-} ]]; then
    if ! cmp --silent "$REQUIREMENTS" "$VENV/installed.txt"; then
        [[ -x $VENV/bin/python ]] || python3 -m venv "$VENV"
        "$VENV/bin/pip" install --quiet --disable-pip-version-check --requirement "$REQUIREMENTS" ||
            die "pip could not install $REQUIREMENTS" 69
        cp "$REQUIREMENTS" "$VENV/installed.txt"
    fi
    PYTHON=$VENV/bin/python
fi
program=${EC2TRAIN:-target/release/ec2train}
[[ -n ${EC2TRAIN:-} ]] || cargo build --locked --release --quiet --bins
export IMAGE=${IMAGE:-$(find -L "$data/test" -name '*.jpg' | sort | sed -n 1p)}
[[ -f $IMAGE ]] || die "no image: IMAGE names none, and $data/test holds none" 66
MODEL_DIR=$(realpath "$model_dir")
export MODEL_DIR

server=
stop() {
    [[ -n $server ]] || return 0
    kill "$server" 2> /dev/null || true
    wait "$server" 2> /dev/null || true
    server=
}
trap stop EXIT

# Starts the server called $1.
start() {
    case $1 in
        ec2train) "$program" serve "${sample[@]}" --listen 127.0.0.1:$PORT > /dev/null 2> "$scratch/server.log" & ;;
        python-*)
            local processes=${1#python-}
            THREADS=$((2 / processes)) BF16=$bf16 COMPILE=$compile "$PYTHON" -m uvicorn server_fastapi:app \
                --app-dir scripts/peers --port $PORT --workers "$processes" --log-level warning \
                --no-access-log > /dev/null 2> "$scratch/server.log" & ;;
    esac
    server=$!
    local attempt
    for ((attempt = 0; attempt < 1200; attempt++)); do
        if curl --silent --fail --output /dev/null http://127.0.0.1:$PORT/ping; then return; fi
        kill -0 "$server" 2> /dev/null || break
        sleep 0.1
    done
    cat "$scratch/server.log" >&2
    die "$1 did not start" 1
}

# Prints requests/s, p50, p99 (ms), requests and errors of $1 connections in $2 s.
load() {
    wrk --threads 1 --connections "$1" --duration "$2" --timeout 60 --script scripts/peers/post.lua \
        http://127.0.0.1:$PORT/invocations | tail -n 1
}

scratch=$(mktemp --directory)
trap 'stop; rm -rf "$scratch"' EXIT
contestants=(ec2train)
if $peers; then contestants+=(python-1 python-2); fi
for ((round = 1; round <= rounds; round++)); do
    for contestant in "${contestants[@]}"; do
        say "round $round: $contestant"
        start "$contestant"
        # Compiles, fills caches.
        load 2 5 > /dev/null
        for connections in 1 16 256; do
            echo "$connections $contestant $(load "$connections" "$seconds")" >> "$scratch/figures"
        done
        stop
    done
done

echo "| connections | server | answers/s | p50 ms | p99 ms | refused or failed, of all |"
echo "|---|---|---|---|---|---|"
# The median of the rounds by requests/s; refused requests are no answers.
sort --key=1,1n --key=2,2 --key=3,3n "$scratch/figures" | awk -v rounds="$rounds" -v seconds="$seconds" '
    (NR - 1) % rounds == int((rounds - 1) / 2) {
        printf "| %d | %s | %.1f | %s | %s | %d of %d |\n", $1, $2, ($6 ? $3 * ($6 - $7) / $6 : 0), $4, $5, $7, $6
    }'
