#!/usr/bin/env bash
# Holds the entry point of a SageMaker container to SageMaker's own training toolkit: the same jobs, well and
# not well, once as the entry point (`sagemaker train`) and once by the toolkit, which runs the program as
# it would run a user's script. Models and failure files have to be the same. deploy/sagemaker/training-job.json
# is held to AWS's description of CreateTrainingJob and to what a job prints.
#
#   scripts/check_sagemaker.sh [--two-nodes]
#
# --two-nodes also has the toolkit run a job on two hosts. The toolkit waits until the names of the hosts
# resolve: algo-1 and algo-2 are addresses of this machine's loopback in a mount namespace, which needs
# root or user namespaces.
#
# Installs the toolkit into .venv-sagemaker (330 MB); it builds a C library, which needs gcc and Python's
# headers. PROGRAMS names a folder with the programs; without it they are built.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'sagemaker check: %s\n' "$*" >&2; }
die() { printf 'sagemaker check: error: %s\n' "$1" >&2; exit "$2"; }

two_nodes=false
case ${1:-} in
    '') ;;
    --two-nodes) two_nodes=true ;;
    *) die "unknown argument $1" 64 ;;
esac

source scripts/venv.sh
source scripts/sagemaker/job.sh
use_venv .venv-sagemaker scripts/sagemaker/requirements.txt
use_programs
toolkit=$PWD/.venv-sagemaker/bin/train

work=$(mktemp --directory --tmpdir=/var/tmp)
trap 'rm -rf --one-file-system "$work"' EXIT

# What the toolkit runs: a user's entry point, whose arguments are the hyperparameters.
printf '#!/bin/sh\nexec "%s" train "$@"\n' "$sagemaker" >"$work/train.sh"
chmod +x "$work/train.sh"

cat /etc/hosts - >"$work/hosts" <<'HOSTS'
127.0.0.2 algo-1
127.0.0.3 algo-2
HOSTS
# with_hosts COMMAND...: where these names resolve; it ends after five minutes at the latest.
with_hosts() {
    # shellcheck disable=SC2016  # Expanded by the inner shell.
    timeout 300 unshare --user --map-root-user --mount bash -euc '
        mount --bind "$1" /etc/hosts
        shift
        exec "$@"' with_hosts "$work/hosts" "$@"
}

# run_entry_point BASE, run_toolkit BASE: run the job there; the exit code is left in $code, what was
# printed in BASE.log.
run_entry_point() {
    code=0
    SAGEMAKER_BASE_DIR=$1 TRAINING_JOB_NAME=dogs "$sagemaker" train >"$1.log" 2>&1 || code=$?
}
run_toolkit() {
    mkdir -p "$1/code"
    cp "$work/train.sh" "$1/code/"
    code=0
    SAGEMAKER_BASE_DIR=$1 TRAINING_JOB_NAME=dogs with_hosts "$toolkit" >"$1.log" 2>&1 || code=$?
}

# clear_outputs BASE: as before the job.
clear_outputs() {
    rm -rf "$1"/{model,output,code}
    mkdir -p "$1"/{model,output/data}
}

# expect WHAT CONDITION...: ends the check with what the job printed unless the condition holds.
expect() {
    local what=$1
    shift
    "$@" && return
    cat "$base.log" >&2
    die "$what" 1
}

# failure: the failure file without the place of a hyperparameter, which the toolkit gives as an argument.
failure() { sed 's/^\(hyperparameter [a-z0-9-]*\) ([^)]*)/\1/' "$base/output/failure"; }

# both WHAT OUTCOME [WORDS]: runs the job in $base both ways, to the same outcome: `ok`, or the exit code
# of the entry point and words of the failure file.
both() {
    local what=$1 outcome=$2 words=${3:-}
    clear_outputs "$base"
    run_entry_point "$base"
    if [[ $outcome == ok ]]; then
        expect "$what: the entry point ended with $code" test "$code" -eq 0
        cp "$base/model/model.pth" "$work/model.pth"
    else
        expect "$what: the entry point ended with $code" test "$code" -eq "$outcome"
        expect "$what: the failure file lacks \"$words\"" grep --quiet --fixed-strings "$words" "$base/output/failure"
        failure >"$work/failure"
    fi
    clear_outputs "$base"
    run_toolkit "$base"
    if [[ $outcome == ok ]]; then
        expect "$what: the toolkit ended with $code" test "$code" -eq 0
        expect "$what: the models differ" cmp "$work/model.pth" "$base/model/model.pth"
        expect "$what: the toolkit reports no success" test -e "$base/output/success"
        expect "$what: there is a failure file" test ! -e "$base/output/failure"
        expect "$what: no measure in what was printed" grep --quiet --extended-regexp 'Testing Loss: ([0-9\.]+)' "$base.log"
    else
        # It makes 1 of every code.
        expect "$what: the toolkit ended with $code" test "$code" -eq 1
        failure >"$work/failure-of-toolkit"
        expect "$what: the failure files differ" cmp "$work/failure" "$work/failure-of-toolkit"
        expect "$what: there is a model" test ! -e "$base/model/model.pth"
    fi
    say "$what: the same both ways"
}

base=$work/ml
lay_out_job "$work/sample" "$base"
set_hyperparameters "$base"
both "the constants' hyperparameters" ok
set_hyperparameters "$base" epochs=5 batch_size=8 lr=0.01 weight-decay=0.001 test-batch-size=100
both "five epochs" ok
grep --quiet '"max_epochs": 5,' "$base/model/model.json" || die "the toolkit's hyperparameters did not arrive" 1
say "$(.venv-sagemaker/bin/python scripts/sagemaker/check_job.py deploy/sagemaker/training-job.json "$base.log")"

set_hyperparameters "$base" epochs=many
both "no number" 64 'is "many"'
set_hyperparameters "$base" momentum=0.9
both "a hyperparameter without a meaning" 64 'layer4-momentum'
set_hyperparameters "$base" epoch=5
both "an unknown hyperparameter" 64 'Known are: epochs, batch-size'
set_hyperparameters "$base"
mv "$base/input/data/training" "$base/input/data/dogs"
both "a missing channel" 66 'Channels of this job: dogs, weights.'
mv "$base/input/data/dogs" "$base/input/data/training"

spoilt=$(find "$base/input/data/training/train" -type d | sort | tail -n 1)
cp -a "$spoilt" "$work/good"
for image in "$spoilt"/*; do echo "not an image" >"$image"; done
both "a class without a readable image" 65 "no image can be decoded of: ${spoilt##*/}"
rm -r "$spoilt"
mv "$work/good" "$spoilt"

# The program itself gets SIGTERM from SageMaker where it is the entry point; the toolkit passes none on.
clear_outputs "$base"
mkdir "$base/checkpoints"
true >"$base.log"
SAGEMAKER_BASE_DIR=$base "$sagemaker" train 2>>"$base.log" & run=$!
until grep --quiet 'features of 0 images' "$base.log" || ! kill -0 "$run"; do sleep 0.02; done
kill -TERM "$run"
code=0
wait "$run" || code=$?
expect "SIGTERM ended the job with $code" test "$code" -eq 143
expect "the failure file does not name the checkpoints" grep --quiet "$base/checkpoints" "$base/output/failure"
run_entry_point "$base"
expect "the next job ended with $code" test "$code" -eq 0
rm -r "$base/checkpoints"
both "after SIGTERM and a restart" ok
say "passed with one node"
$two_nodes || exit 0

# --- Two nodes ------------------------------------------------------------------------------------

cp "$work/model.pth" "$work/one-node.pth"
for rank in 1 2; do
    node=$work/node-$rank
    mkdir -p "$node/code" "$node"/{model,output/data,input/config}
    ln -s "$base/input/data" "$node/input/data"
    cp "$base"/input/config/{hyperparameters,inputdataconfig}.json "$node/input/config/"
    set_hosts "$node" "algo-$rank" algo-1 algo-2
    cp "$work/train.sh" "$node/code/"
done
for rank in 1 2; do
    SAGEMAKER_BASE_DIR=$work/node-$rank CURRENT_HOST=algo-$rank \
        with_hosts "$toolkit" >"$work/node-$rank.log" 2>&1 & pids[rank]=$!
done
for rank in 1 2; do
    base=$work/node-$rank code=0
    wait "${pids[rank]}" || code=$?
    expect "algo-$rank ended with $code" test "$code" -eq 0
    expect "algo-$rank reports no success" test -e "$base/output/success"
done
base=$work/node-1
expect "two nodes made another model than one" cmp "$work/one-node.pth" "$base/model/model.pth"
expect "algo-2 has a model of its own" test ! -e "$work/node-2/model/model.pth"
say "passed with two nodes"
