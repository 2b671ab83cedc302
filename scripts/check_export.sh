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

# shellcheck source=scripts/venv.sh
source scripts/venv.sh

case $* in
    "" | --sample) ;;
    *) die "usage: scripts/check_export.sh [--sample]" 64 ;;
esac
use_venv "$VENV" "$REQUIREMENTS"
export EC2TRAIN=${EC2TRAIN:-target/release/ec2train}
if [[ $EC2TRAIN == target/release/ec2train ]]; then
    cargo build --locked --release --quiet --bins
fi
"$EC2TRAIN" export "$@"
exec "$VENV/bin/python" scripts/export/check.py "$@"
