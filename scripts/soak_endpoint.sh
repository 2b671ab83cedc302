#!/usr/bin/env bash
# Sends a million requests to `ec2train serve`, a tenth of them malformed in 30 ways, from 16 clients:
#
#   scripts/soak_endpoint.sh [--sample] [--requests N] [--clients N]
#
# With the model in TrainedModels (or TrainedModels/sample) and the images of its test split. Every good
# answer must have the logits of `ec2train predict`, every bad request the status that it deserves, and
# memory may not grow by more than 5 %. A million take hours; --requests 100000 is the shorter form.
# Ends with 1 at the first failure. Needs python3 and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${EC2TRAIN:-target/release/ec2train}
[[ -n ${EC2TRAIN:-} ]] || cargo build --locked --release --quiet --bins
exec python3 scripts/endpoint/soak.py "$program" "$@"
