#!/usr/bin/env bash
# Epochs of layer4's training beside PyTorch's, in turn: A B A B.
# Needs a Python with torch and torchvision: PYTHON=/path/to/python scripts/compare_layer4.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
cargo build --locked --profile "$profile" --example layer4_epoch
folder=$profile
[ "$profile" != dev ] || folder=debug
for _ in $(seq "${1:-3}"); do
    "target/$folder/examples/layer4_epoch" 256 2 2>/dev/null
    "${PYTHON:-python3}" scripts/layer4_epoch.py 256 2
done
