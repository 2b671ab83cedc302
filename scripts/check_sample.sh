#!/usr/bin/env bash
# Shows that the built-in sample needs what a ResNet50 sees: trains on it, and sets a linear head on
# each image's mean colour beside it. Ends with 1 when the first is under 60 % or the second over
# 20 % top-1 on the sample's test split (guessing among 133 classes is right in 0.75 %).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'sample: %s\n' "$*" >&2; }

cargo build --locked --release --bins --example mean_colour
rm -rf data/sample
start=$SECONDS
target/release/ec2train train --sample
duration=$((SECONDS - start))

features=$(python3 -c '
import json
print(100 * json.load(open("TrainedModels/sample/model.json"))["metrics"]["test"]["top1_accuracy"])')
colour=$(target/release/examples/mean_colour | grep --only-matching --extended-regexp '[0-9.]+ %' | tail -n 1 | cut -d ' ' -f 1)
printf 'top-1 on the test split: %.2f %% from ResNet50 features, %.2f %% from the mean colour; %d s, drawing included\n' \
    "$features" "$colour" "$duration"
awk -v features="$features" -v colour="$colour" 'BEGIN { exit !(features >= 60 && colour < 20) }'
