#!/usr/bin/env bash
# Holds `ec2train serve` to its clients: boto3 and the AWS SDK for Rust through a proxy that maps SageMaker's
# paths, schemathesis against /openapi.json, and the page at / in headless Chromium.
#
#   scripts/check_endpoint.sh [--sample] [--without-rust-sdk]
#
# With the model in TrainedModels (or TrainedModels/sample) and the images of its test split. Installs
# Python packages into .venv-endpoint; the SDK for Rust takes minutes to build. Chromium is used where
# it is installed (Debian: chromium, chromium-driver). EC2TRAIN names the program.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'check_endpoint: %s\n' "$*" >&2; }
die() { printf 'check_endpoint: error: %s\n' "$1" >&2; exit "$2"; }

readonly VENV=.venv-endpoint REQUIREMENTS=scripts/endpoint/requirements.txt
sample=() rust=true
while (($#)); do
    case $1 in
        --sample) sample=(--sample) ;;
        --without-rust-sdk) rust=false ;;
        *) die "unknown argument $1" 64 ;;
    esac
    shift
done

if ! cmp --silent "$REQUIREMENTS" "$VENV/installed.txt"; then
    [[ -x $VENV/bin/python ]] || python3 -m venv "$VENV"
    say "installing boto3, schemathesis and selenium into $VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check --requirement "$REQUIREMENTS" ||
        die "pip could not install $REQUIREMENTS" 69
    cp "$REQUIREMENTS" "$VENV/installed.txt"
fi
program=${EC2TRAIN:-target/release/ec2train}
[[ -n ${EC2TRAIN:-} ]] || cargo build --locked --release --quiet --bins
client=()
if $rust; then
    say "building a client with the AWS SDK for Rust"
    cargo build --locked --quiet --manifest-path scripts/endpoint/rust_sdk/Cargo.toml --target-dir target/rust_sdk
    client=(--rust-client target/rust_sdk/debug/invoke_endpoint)
fi

"$VENV/bin/python" scripts/endpoint/sdk.py "$program" "${sample[@]}" "${client[@]}"
"$VENV/bin/python" scripts/endpoint/page.py "$program" "${sample[@]}"
"$VENV/bin/python" scripts/endpoint/openapi.py "$program" "${sample[@]}"
