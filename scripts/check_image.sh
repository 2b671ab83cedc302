#!/usr/bin/env bash
# Checks deploy/sagemaker/Dockerfile without a container engine: hadolint reads it, then its instructions are
# carried out, as they are written there, in minimal Debian roots in a folder. What comes out is used as
# SageMaker would: `train` on a small /opt/ml, well and with a bad hyperparameter, then `serve`, as an
# ordinary user. Removes everything it made.
#
#   scripts/check_image.sh [--lint]
#
# --lint stops after hadolint. The rest needs root, debootstrap, 8 GB in /var/tmp, the network and the time of
# a release build. Where sh.rustup.rs cannot be reached, this machine's Rust is lent to the new root,
# read-only, and that is said. PROGRAMS names a folder with ec2train, which draws the images.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly DOCKERFILE=deploy/sagemaker/Dockerfile

say() { printf 'image check: %s\n' "$*" >&2; }
die() { printf 'image check: error: %s\n' "$1" >&2; exit "$2"; }

source scripts/venv.sh
source scripts/sagemaker/job.sh
# shellcheck source=scripts/debian_root.sh
source scripts/debian_root.sh

use_venv .venv-image scripts/sagemaker/image_requirements.txt
.venv-image/bin/hadolint --failure-threshold style "$DOCKERFILE" || die "hadolint objects to $DOCKERFILE" 1
say "hadolint has no objection"
[[ ${1:-} != --lint ]] || exit 0

require_tools "curl git procps util-linux" curl git pgrep unshare
use_programs
new_root --variant=minbase

# --- The instructions -----------------------------------------------------------------------------

stages=$root/stages
mkdir "$stages"
declare -A environment=()

# from IMAGE [AS NAME]: begins a stage.
from() {
    [[ $1 == debian:12-slim ]] || die "$DOCKERFILE begins with $1, this script has a Debian 12" 70
    stage=$stages/${3:-last} workdir=/ user=root
    mkdir "$stage"
    tar --create --directory "$root" --exclude=./stages . | tar --extract --directory "$stage"
    lent_rustup=
    [[ ${2:-} == AS ]] || return 0
    # Images get names from the engine.
    cp --dereference /etc/resolv.conf /etc/hosts "$stage/etc/"
    lend "$stage"
}

# copy [--from=STAGE] SOURCE... TARGET
copy() {
    local from=$root/context source target
    if [[ $1 == --from=* ]]; then
        from=$stages/${1#--from=}
        shift
    fi
    target=${*: -1}
    [[ $target == /* ]] || target=$workdir/$target
    for source in "${@:1:$#-1}"; do
        if [[ -d $from/$source ]]; then
            mkdir -p "$stage$target"
            cp --archive "$from/$source/." "$stage$target/"
        elif [[ $target == */ || $# -gt 2 ]]; then
            mkdir -p "$stage$target"
            cp --archive "$from/$source" "$stage$target/"
        else
            cp --archive "$from/$source" "$stage$target"
        fi
    done
}

# What an engine would be sent: what git knows or would take, and the weights.
mkdir -p "$root/context/data/weights"
git ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from=- | tar --extract --directory "$root/context"
find data/weights -name 'resnet50*' -exec cp --dereference -t "$root/context/data/weights" {} + 2>/dev/null || true

.venv-image/bin/python scripts/sagemaker/dockerfile.py "$DOCKERFILE" >"$root/instructions"
while IFS=$'\t' read -r instruction value; do
    say "$instruction $value"
    start=$SECONDS
    read -ra words <<<"$value"
    case $instruction in
        FROM) from "${words[@]}" ;;
        WORKDIR) workdir=$value && mkdir -p "$stage$workdir" ;;
        COPY) copy "${words[@]}" ;;
        RUN) build_in "$stage" /bin/sh -c "cd $workdir && $value" || die "RUN $value failed" 70 ;;
        ARG) environment[${value%%=*}]=${value#*=} ;;
        USER)
            # shellcheck disable=SC2016  # As it is written there.
            [[ $value == '${USER}' ]] && user=${environment[USER]}
            ;;
        ENTRYPOINT)
            [[ $value =~ ^\[\"([^\"]+)\"\]$ ]] || die "the entry point is not in exec form: $value" 1
            entrypoint=${BASH_REMATCH[1]}
            ;;
        LABEL | EXPOSE) ;;
        *) die "this script does not know the instruction $instruction" 70 ;;
    esac
    ((SECONDS - start < 5)) || say "  took $((SECONDS - start)) s"
done <"$root/instructions"
[[ $user == root ]] || die "the image's user is $user" 1

say "the image has $(du -sm "$stage" | cut -f 1) MB, of which the base has $(du -sm --exclude=stages --exclude=context "$root" | cut -f 1) MB"
du -sh "$stage/opt/ec2train"/* >&2

# --- The image ------------------------------------------------------------------------------------

base=$stage/opt/ml
lay_out_job "$root/sample" "$base"
set_hyperparameters "$base" epochs=5 batch_size=8

# in_image USER_ID COMMAND...: runs it as an engine would, with a /proc of its own and the harmless devices;
# a writable /tmp. Without network, unless NETWORK is set.
in_image() {
    local user_id=$1 namespaces=(--mount --pid --fork --kill-child)
    shift
    [[ -n ${NETWORK:-} ]] || namespaces+=(--net)
    # shellcheck disable=SC2016  # Expanded by the inner shell.
    exec unshare "${namespaces[@]}" --propagation private bash -euc '
        root=$1 user_id=$2 workdir=$3
        shift 3
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/dev"
        for device in null zero urandom; do
            touch "$root/dev/$device"
            mount --bind "/dev/$device" "$root/dev/$device"
        done
        exec chroot --userspec="$user_id:$user_id" "$root" env -i --chdir="$workdir" "$@"' in_image "$stage" "$user_id" "$workdir" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TRAINING_JOB_NAME=dogs "$@" </dev/null
}

(in_image 0 "$entrypoint" train) || die "\`train\` ended with $?" 1
for file in model.pth model.json; do
    [[ -s $base/model/$file ]] || die "there is no model/$file" 1
done
[[ ! -e $base/output/failure && -s $base/output/data/report.html ]] || die "there is a failure file, or no report" 1
say "train: well"

code=0
(in_image 0 "$entrypoint" train --epochs none) || code=$?
((code == 64)) || die "a bad hyperparameter ended with $code" 1
grep --quiet 'epochs (arguments) is "none"' "$base/output/failure" || die "the failure file does not say what is wrong" 1
say "train: a bad hyperparameter is told"

# An ordinary user serves: the model is readable, and the port is above 1024.
chmod -R u=rwX,go=rX "$base/model"
(NETWORK=yes in_image 65532 SAGEMAKER_BIND_TO_PORT=0 "$entrypoint" serve) >"$root/access.log" 2>"$root/serve.log" &
server=$!
port=
for ((attempt = 0; attempt < 600; attempt++)); do
    port=$(sed -n 's|.*listening on http://0\.0\.0\.0:\([0-9]*\);.*|\1|p' "$root/serve.log")
    [[ -n $port ]] && curl --noproxy '*' --fail --silent --output /dev/null "http://127.0.0.1:$port/ping" && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
image=$(find "$base/input/data/training/test" -type f | head -n 1)
logits=$(curl --noproxy '*' --fail --silent --header 'Content-Type: image/jpeg' --data-binary "@$image" "http://127.0.0.1:$port/invocations") ||
    { cat "$root/serve.log" >&2; die "\`serve\` does not answer" 1; }
[[ $logits == '[['*']]' ]] || die "\`serve\` answers $logits" 1
# unshare itself passes no signal on.
kill -TERM "$(pgrep --parent "$server")"
code=0
wait "$server" || code=$?
((code == 0)) || die "\`serve\` ended with $code after SIGTERM" 1
say "serve: well, as user 65532: $logits"
say "passed"
