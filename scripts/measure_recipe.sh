#!/usr/bin/env bash
# Measures the recipe of the head: prints the tables of docs/recipe.md.
#
#   scripts/measure_recipe.sh ablate [FOLDER]    what each part gives: 5 seeds, about an hour on 2 cores
#   scripts/measure_recipe.sh compare [FOLDER]   the fit beside scikit-learn's LogisticRegressionCV
#
# On the features of the built-in sample, on drawn ones, and on those of the photographs in FOLDER
# (train, valid and test, as data/dogImages) under a small network pretrained on ImageNet. SEEDS is the
# number of seeds. Installs PyTorch and scikit-learn into .venv-recipe (6 GB: PyPI has PyTorch's CUDA
# build). Exit codes: 64 usage, 69 no download.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'measure_recipe: %s\n' "$*" >&2; }
die() { printf 'measure_recipe: error: %s\n' "$1" >&2; exit "$2"; }

readonly VENV=.venv-recipe REQUIREMENTS=scripts/recipe/requirements.txt
readonly WORK=target/recipe

# shellcheck source=scripts/venv.sh
source scripts/venv.sh

case "$#:${1-}" in
    1:ablate | 1:compare | 2:ablate | 2:compare) ;;
    *) die "usage: scripts/measure_recipe.sh ablate|compare [FOLDER]" 64 ;;
esac
use_venv "$VENV" "$REQUIREMENTS"
cargo build --locked --release --quiet --bins --example recipe_features --example recipe_fit
mkdir -p "$WORK"
target/release/ec2train train --sample >&2
target/release/examples/recipe_features "$WORK/sample.safetensors"
"$VENV/bin/python" scripts/recipe/pool.py "$WORK/sample.safetensors" "$WORK/sample.npz"
sets=("sample=$WORK/sample.npz")
if (($# == 2)); then
    "$VENV/bin/python" scripts/recipe/features.py "$2" "$WORK/photographs.npz"
    sets+=("photographs=$WORK/photographs.npz")
fi
if [[ $1 == ablate ]]; then
    exec "$VENV/bin/python" scripts/recipe/ablate.py "${SEEDS:-5}" "${sets[@]}" drawn
fi
exec "$VENV/bin/python" scripts/recipe/compare.py target/release/examples/recipe_fit "${SEEDS:-3}" "${sets[@]}" drawn
