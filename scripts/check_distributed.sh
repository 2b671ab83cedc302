#!/usr/bin/env bash
# Checks a training on several machines with others' programs and with real networks, on the built-in sample:
#
#   1. a rank in Python and one in Rust in one group, each of them once as rank 0
#   2. two starts of torchrun
#   3. four hosts in network namespaces: names that resolve late, then one host cut off in the midst of
#      the work, then a restart
#
# Takes three minutes, the build aside. Installs PyTorch into .venv-distributed (6 GB: PyPI has the CUDA
# build); PYTHON names one that has it. What needs root or a tool that is not here says SKIPPED.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'distributed check: %s\n' "$*" >&2; }
die() { printf 'distributed check: error: %s\n' "$1" >&2; exit "$2"; }

# Until a silent host counts as lost.
readonly TIMEOUT_S=10

# Waits up to two minutes until command "$@" succeeds.
wait_until() {
    local _
    for _ in {1..1200}; do
        if "$@"; then return; fi
        sleep 0.1
    done
    die "it never came to this: $*" 1
}

model_hash() { sha256sum <"$1/TrainedModels/model.pth" | cut -d ' ' -f 1; }

# Shows the logs $2... and ends.
fail() {
    tail --lines=20 "${@:2}" >&2
    die "$1" 1
}

# A working folder $1 with the sample as its data set.
lay_out() {
    mkdir -p "$1/data"
    ln -s "$work/sample/data/sample/images" "$1/data/dogImages"
    ln -s "$work/sample/data/sample/weights" "$1/data/weights"
}

# --- Python ---------------------------------------------------------------------------------------

# Runs rank 0 in the language $1 and rank 1 in $2.
exchange() {
    local languages=("$@") rank pids=() port=$((20000 + RANDOM % 10000)) pid
    for rank in 0 1; do
        local run=("$program_dir/examples/exchange")
        [[ ${languages[rank]} == Rust ]] || run=("$python" scripts/distributed/exchange.py)
        RANK=$rank WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$port GLOO_SOCKET_IFNAME=lo \
            timeout 120 "${run[@]}" >"$work/exchange.$rank" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || fail "${languages[0]} as rank 0, ${languages[1]} as rank 1" "$work"/exchange.*
    done
    say "$(grep --no-filename 'as expected' "$work/exchange.0")"
    say "$(grep --no-filename 'as expected' "$work/exchange.1")"
}

# --- torchrun -------------------------------------------------------------------------------------

check_torchrun() {
    local node pids=() pid port=$((20000 + RANDOM % 10000))
    for node in 0 1; do
        lay_out "$work/node$node"
        (
            cd "$work/node$node"
            exec timeout 300 "$(dirname "$python")/torchrun" --nnodes=2 --nproc-per-node=1 \
                --node-rank="$node" --master-addr=127.0.0.1 --master-port="$port" --no-python \
                taskset --cpu-list "$((node % $(nproc)))" "$program_dir/ec2train"
        ) >"$work/torchrun.$node" 2>&1 &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || fail "torchrun" "$work"/torchrun.*
    done
    [[ $(model_hash "$work/node0") == "$expected" ]] || die "torchrun: another model" 1
    [[ ! -e $work/node1/TrainedModels/model.pth ]] || die "rank 1 has written a model" 1
    say "torchrun --nnodes=2 --no-python ec2train: the model of one process"
}

# --- Four hosts -----------------------------------------------------------------------------------

# Starts all hosts. The name of the first is not known to the others at first.
start_hosts() {
    local host
    grep --invert-match ' algo-1$' "$work/hosts" >/etc/hosts
    pids=()
    for host in 1 2 3 4; do
        (
            cd "$work/host$host"
            export SM_HOSTS='["algo-1", "algo-2", "algo-3", "algo-4"]' SM_CURRENT_HOST=algo-$host
            export EC2TRAIN_HEARTBEAT_TIMEOUT_S=$TIMEOUT_S
            exec ip netns exec "host$host" timeout 300 taskset --cpu-list "$((host % $(nproc)))" \
                "$program_dir/ec2train"
        ) >"$work/host$host/log" 2>&1 &
        pids+=($!)
    done
    wait_until grep --quiet 'waiting for rank 0 (algo-1' "$work/host4/log"
    cat "$work/hosts" >/etc/hosts
}

# In namespaces of its own.
check_hosts() {
    local host code start pids=() logs=("$work"/host{1,2,3,4}/log)
    mkdir -p /run/netns
    mount -t tmpfs tmpfs /run/netns
    printf '10.81.0.%d algo-%d\n' 1 1 2 2 3 3 4 4 >"$work/hosts"
    cp "$work/hosts" "$work/etc-hosts"
    mount --bind "$work/etc-hosts" /etc/hosts
    ip link add br0 type bridge
    ip link set br0 up
    for host in 1 2 3 4; do
        ip netns add "host$host"
        ip link add "veth$host" type veth peer name eth0 netns "host$host"
        ip link set "veth$host" master br0 up
        ip -n "host$host" address add "10.81.0.$host/24" dev eth0
        ip -n "host$host" link set lo up
        ip -n "host$host" link set eth0 up
        lay_out "$work/host$host"
    done

    start_hosts
    wait_until test -s "$work/host3/TrainedModels/rank-2/features/files.jsonl"
    ip -n host3 link set eth0 down
    start=$SECONDS
    for host in 1 2 3 4; do
        code=0
        wait "${pids[host - 1]}" || code=$?
        ((code == 69)) || fail "host $host ended with $code after host 3 was cut off" "${logs[@]}"
    done
    ((SECONDS - start < 6 * TIMEOUT_S)) || fail "the end took $((SECONDS - start)) s" "${logs[@]}"
    for host in 1 2 4; do
        grep --quiet 'stopped by rank 2 (algo-3), which has not been heard of' "$work/host$host/log" ||
            fail "host $host does not name the host that was cut off" "${logs[@]}"
    done
    say "host 3 cut off: all ended $((SECONDS - start)) s later, with a timeout of $TIMEOUT_S s; host 1: $(
        grep --only-matching 'stopped by.*' "$work/host1/log"
    ); host 3: $(grep --only-matching 'stopped by.*' "$work/host3/log")"

    ip -n host3 link set eth0 up
    start_hosts
    for host in 1 2 3 4; do
        wait "${pids[host - 1]}" || fail "the restart" "${logs[@]}"
    done
    [[ $(model_hash "$work/host1") == "$expected" ]] || fail "four hosts make another model" "${logs[@]}"
    say "restarted: $(grep --only-matching 'features of.*' "$work/host1/log"); the model of one process"
    say "host 1: $(grep --only-matching '[0-9.]* MB exchanged.*' "$work/host1/log")"
}

# --------------------------------------------------------------------------------------------------

program_dir=$PWD/target/release
if [[ ${1:-} == --in-namespaces ]]; then
    work=$2 expected=$3
    check_hosts
    exit
fi
cargo build --locked --quiet --release --bins --example exchange
python=${PYTHON:-$PWD/.venv-distributed/bin/python}
if [[ -z ${PYTHON:-} ]]; then
    # shellcheck source=scripts/venv.sh
    source scripts/venv.sh
    use_venv .venv-distributed scripts/distributed/requirements.txt
fi

work=$(mktemp --directory --tmpdir=/var/tmp)
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir "$work/sample"
(cd "$work/sample" && "$program_dir/ec2train" sample) 2>"$work/sample.log" || fail "no sample" "$work/sample.log"
lay_out "$work/alone"
(cd "$work/alone" && "$program_dir/ec2train") >"$work/alone.log" 2>&1 || fail "one process" "$work/alone.log"
expected=$(model_hash "$work/alone")

exchange Python Rust
exchange Rust Python
check_torchrun
if ((EUID != 0)); then
    say "SKIPPED: four hosts: network namespaces need root"
elif ! command -v ip >/dev/null || ! command -v unshare >/dev/null; then
    say "SKIPPED: four hosts: there is no ip (apt-get install iproute2) or no unshare"
else
    unshare --mount --net --propagation private "$0" --in-namespaces "$work" "$expected"
fi
say "passed"
