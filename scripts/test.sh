#!/usr/bin/env bash
# Sets the machine up if need be and runs every check.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
exec scripts/check.sh
