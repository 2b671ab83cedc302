#!/usr/bin/env bash
# Has the built-in sample trained, and holds the metrics of that run against those who read them:
# TensorBoard while the run goes on and afterwards, CloudWatch's specification of embedded metrics, the
# schema of CloudWatch's agent. Takes a minute or two, the build aside.
#
# Installs TensorBoard and jsonschema into .venv-metrics (180 MB). What needs a tool that is not here says
# SKIPPED.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ! -x .venv-metrics/bin/tensorboard ]]; then
    python3 -m venv .venv-metrics
    .venv-metrics/bin/pip install --quiet --disable-pip-version-check tensorboard==2.21.0 jsonschema==4.26.0
fi
cargo build --locked --quiet --release --bins

work=$(mktemp --directory --tmpdir=/var/tmp)
trap 'rm -rf --one-file-system "$work"' EXIT

# Where the agent's package puts it.
schema=/opt/aws/amazon-cloudwatch-agent/doc/amazon-cloudwatch-agent-schema.json
.venv-metrics/bin/python scripts/check_metrics.py "$work" "$schema"
