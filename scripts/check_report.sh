#!/usr/bin/env bash
# Opens the report of a training in a real Chromium: at 375 and 1440 px, light and dark, without
# JavaScript, on paper. No message on the console, nothing loaded, nothing wider than the screen, tables
# sorted by keyboard, contrast. The screenshots' folder is printed.
#
# Without an argument the built-in sample is trained first, which takes a minute or two, the build aside.
# With one it is the report.html to open. Installs playwright into .venv-report (140 MB), and as root
# Debian's chromium where there is none.
set -euo pipefail
report=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.."

if ! command -v chromium > /dev/null; then
    if [[ $EUID -ne 0 ]]; then
        echo "Chromium is not here. \`sudo apt-get install chromium\` brings it." >&2
        exit 69
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium > /dev/null
fi
if [[ ! -x .venv-report/bin/playwright ]]; then
    python3 -m venv .venv-report
    .venv-report/bin/pip install --quiet --disable-pip-version-check playwright==1.65.2
fi

screenshots=$(mktemp --directory --tmpdir=/var/tmp)
if [[ -z $report ]]; then
    cargo build --locked --quiet --release --bins
    work=$(mktemp --directory --tmpdir=/var/tmp)
    trap 'rm -rf --one-file-system "$work"' EXIT
    program=$PWD/target/release/ec2train
    (cd "$work" && "$program" train --sample)
    report=$work/TrainedModels/sample/report.html
    grep --quiet 'This is the built-in sample' "$report"
fi
.venv-report/bin/python scripts/check_report.py "$report" "$screenshots" "$(command -v chromium)"
echo "Screenshots: $screenshots"
