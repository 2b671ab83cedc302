#!/usr/bin/env bash
# Sends an event through cargo-lambda's emulator of the runtime API to the Lambda program, which is not
# built again for it: a second client besides aws_local/functions.py.
#
#   aws_local/cargo_lambda.sh FOLDER    with event.json and reply.json of an earlier client; called by
#                                       check_aws.sh, whose local AWS stands behind AWS_ENDPOINT_URL
set -euo pipefail

say() { printf 'aws: %s\n' "$*" >&2; }

work=$1
unzip -q -o "$EC2TRAIN_LAMBDA_ZIP" -d "$work"
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cargo-lambda lambda watch --only-lambda-apis --invoke-address 127.0.0.1 --invoke-port "$port" \
    &>"$work/cargo-lambda.log" &
emulator=$!
trap 'kill "$emulator" 2>/dev/null || true' EXIT
for _ in {1..600}; do
    (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.1
done
AWS_LAMBDA_RUNTIME_API="http://127.0.0.1:$port/.rt/ec2train" AWS_LAMBDA_FUNCTION_NAME=ec2train \
    AWS_LAMBDA_FUNCTION_VERSION=1 AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256 ENDPOINT_NAME=ec2train \
    "$work/bootstrap" &>"$work/bootstrap.log" &
function=$!
trap 'kill "$emulator" "$function" 2>/dev/null || true' EXIT

cargo-lambda lambda invoke ec2train --invoke-address 127.0.0.1 --invoke-port "$port" \
    --data-file "$work/event.json" >"$work/emulated.json"
# Whitespace aside, the reply that the other client got.
python - "$work" <<'PYTHON'
import json, pathlib, sys
replies = [json.loads((pathlib.Path(sys.argv[1]) / name).read_text()) for name in ("reply.json", "emulated.json")]
assert replies[0] == replies[1], replies
PYTHON
say "cargo-lambda: the same reply"
