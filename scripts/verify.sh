#!/usr/bin/env bash
# Holds a trained model against PyTorch: strict loading, preprocessing, logits.
#
#   scripts/verify.sh            TrainedModels/model.pth, on 50 images of data/dogImages
#   scripts/verify.sh --sample   the same for the built-in sample
#
# Installs PyTorch, torchvision and Pillow into .venv-verify (about 6 GB: PyPI has the CUDA build).
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ! -x .venv-verify/bin/python ]]; then
    python3 -m venv .venv-verify
    .venv-verify/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 pillow
fi
cargo build --release --quiet --bins --example transform_image
.venv-verify/bin/python scripts/verify.py "$@"
