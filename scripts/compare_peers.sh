#!/usr/bin/env bash
# Times ec2train beside the original's way, PyTorch, OpenVINO and ONNX Runtime: whole processes, in turn,
# on the same photographs, weights and threads. Prints a Markdown table; that and all figures go to
# TrainedModels/bench/peers.{md,json}.
#
#   scripts/compare_peers.sh                          all of data/dogImages, 5 rounds: hours on 2 cores
#   scripts/compare_peers.sh --images 266 --rounds 3
#   scripts/compare_peers.sh --isa AVX512_CORE        no contestant uses more, as on a t3.medium
#   scripts/compare_peers.sh --help                   the other options
#
# EC2TRAIN names the program (default: target/release/ec2train). Installs the others into .venv-peers
# (6 GB: PyPI has PyTorch's CUDA build). Exit codes: 1 a run failed or the features differ, 69 no download.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'compare_peers: %s\n' "$*" >&2; }
die() { printf 'compare_peers: error: %s\n' "$1" >&2; exit "$2"; }

readonly VENV=.venv-peers REQUIREMENTS=scripts/peers/requirements.txt

# shellcheck source=scripts/venv.sh
source scripts/venv.sh

for tool in python3 taskset cmp; do
    command -v "$tool" >/dev/null || die "missing: $tool" 69
done
case " $* " in
    *" --dry-run "* | *" --help "* | *" -h "*) exec python3 scripts/peers/compare.py "$@" ;;
esac
use_venv "$VENV" "$REQUIREMENTS"
exec "$VENV/bin/python" scripts/peers/compare.py "$@"
