#!/usr/bin/env bash
# Loads each file of `ec2train export` with the program it is meant for, and compares its logits with
# `ec2train predict`'s on images of the test split: one image at a time and three at once.
#
#   scripts/check_export.sh            the model in TrainedModels, images of data/dogImages
#   scripts/check_export.sh --sample   the same for the built-in sample
#
# The model must have been trained. EC2TRAIN names the program (default: target/release/ec2train).
# Installs the other programs into .venv-export (6 GB: PyPI has PyTorch's CUDA build). Exit codes: 1 a
# check failed, 64 usage, 69 no download.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'check_export: %s\n' "$*" >&2; }
die() { printf 'check_export: error: %s\n' "$1" >&2; exit "$2"; }

readonly VENV=.venv-export REQUIREMENTS=scripts/export/requirements.txt

# Leaves $VENV with exactly the pinned versions.
install() {
    cmp --silent "$REQUIREMENTS" "$VENV/installed.txt" && return
    [[ -x $VENV/bin/python ]] || python3 -m venv "$VENV" ||
        die "python3 cannot make a virtual environment (Debian: apt-get install python3-venv)" 69
    say "installing $(grep --count == "$REQUIREMENTS") packages and what they need into $VENV"
    # Beside the environment: /tmp is a small memory file system on some machines.
    mkdir -p "$VENV/tmp"
    TMPDIR=$PWD/$VENV/tmp "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
        --requirement "$REQUIREMENTS" || die "pip could not install $REQUIREMENTS into $VENV" 69
    rm -rf "${VENV:?}/tmp"
    cp "$REQUIREMENTS" "$VENV/installed.txt"
}

case $* in
    "" | --sample) ;;
    *) die "usage: scripts/check_export.sh [--sample]" 64 ;;
esac
install
export EC2TRAIN=${EC2TRAIN:-target/release/ec2train}
if [[ $EC2TRAIN == target/release/ec2train ]]; then
    cargo build --locked --release --quiet --bin ec2train
fi
"$EC2TRAIN" export "$@"
exec "$VENV/bin/python" scripts/export/check.py "$@"
