#!/usr/bin/env bash
# From a bare machine to a trained model: sets the machine up, builds, gets weights and data set,
# trains. What is there already is neither downloaded nor built again.
#
# Where the data set cannot be reached, the built-in sample is trained instead, and announced as such.
# A data set that is there is never replaced by the sample.
#
# Exit codes: those of setup.sh, of cargo build and of ec2train.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'train: %s\n' "$*" >&2; }
die() { printf 'train: error: %s\n' "$1" >&2; exit "$2"; }

(($# == 0)) || die "no arguments are taken: paths and hyperparameters are constants in src/config.rs" 64

scripts/setup.sh
source scripts/rust.sh
use_rust || die "there is no Rust of at least $OLDEST_RUST" 69

has_data() { [[ -d data/dogImages/train ]]; }
has_weights() { compgen -G 'data/weights/resnet50*.pth' || compgen -G 'data/weights/resnet50*.safetensors'; } >/dev/null

# cargo gives way to the program: its exit code and signals are the program's own.
ec2train=(cargo run --locked --release --quiet --bin ec2train --)

say "building"
cargo build --locked --release --bins

status=0
if ! has_data || ! has_weights; then
    "${ec2train[@]}" fetch || status=$?
fi
if ((status != 0 && status != 69)); then
    exit "$status"
fi

if has_data && has_weights; then
    exec "${ec2train[@]}" train
elif has_data; then
    die "data/dogImages is there, but no pretrained weights, and they cannot be downloaded from here.
  Copy resnet50-0676ba61.pth into data/weights/ (data/README.md says from where) and start again." 69
elif ((status == 0)); then
    die "ec2train fetch ended well, but data/dogImages or data/weights is not there" 70
else
    cat >&2 <<'TEXT'

********************************************************************************
  The real data set or weights COULD NOT BE DOWNLOADED: their servers cannot be
  reached from this machine. The BUILT-IN SAMPLE is trained instead: drawn images
  and a backbone that was constructed, NOT PRETRAINED.

  What you get in TrainedModels/sample/ shows that everything works here. It is
  not a model of dog breeds.

  For the real one, copy data set and weights to where data/README.md says, and
  start scripts/train.sh again.
********************************************************************************

TEXT
    "${ec2train[@]}" train --sample
    say "this was the built-in sample: see TrainedModels/sample/. The real weights and data could not be downloaded"
fi
