#!/usr/bin/env bash
# Sends a million requests to `ec2train serve`, a tenth of them malformed in 30 ways, from 16 clients:
#
#   scripts/soak_endpoint.sh [--sample] [--requests N] [--clients N] [--overload]
#
# With the model in TrainedModels (or TrainedModels/sample) and the images of its test split. Every good
# answer must have the logits of `ec2train predict`, every bad request the status that it deserves, and
# memory may not grow by more than 5 %. A client that is told to come again does so, and a million take
# hours; --requests 100000 is the shorter form. With --overload, which takes --clients 384 or so, it sends
# something else, and what was refused counts: a million take most of an hour.
# Ends with 1 at the first failure. Needs python3 and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

program=${EC2TRAIN:-target/release/ec2train}
[[ -n ${EC2TRAIN:-} ]] || cargo build --locked --release --quiet --bins
exec python3 scripts/endpoint/soak.py "$program" "$@"
