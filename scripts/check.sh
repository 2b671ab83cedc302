#!/usr/bin/env bash
# Every check, the cheapest first, up to the first that fails; the last line counts the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'check: %s\n' "$*" >&2; }
die() { printf 'check: error: %s\n' "$1" >&2; exit "$2"; }

source scripts/rust.sh
use_rust || die "there is no Rust of at least $OLDEST_RUST; run scripts/setup.sh" 69

# Runs a check and says how long it took.
check() {
    local start=$SECONDS
    say "$*"
    "$@" || die "failed: $*" 1
    say "passed in $((SECONDS - start)) s"
}

# Prints `N passed, N failed`, the sum of cargo test's closing lines in the file $1.
sum_of_tests() {
    awk '/^test result: / { passed += $4; failed += $6; skipped += $8 }
         END { printf "%d passed, %d failed", passed, failed
               if (skipped) printf ", %d skipped", skipped
               print "" }' "$1"
}

check cargo fmt --all --check
# The part without libtorch, as it is built where there is none.
check cargo clippy --locked --workspace --all-targets --no-default-features -- -D warnings
check cargo clippy --locked --workspace --all-targets -- -D warnings
# The Lambda function. What its handler does is tested below, the program by scripts/check_aws.sh.
check cargo clippy --locked --lib --bin lambda --no-default-features --features lambda -- -D warnings
check env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

# The CloudFormation templates, where Python and PyPI can be had.
status=69
if python3 -c 'import ensurepip' &>/dev/null; then
    start=$SECONDS
    say "scripts/check_aws.sh --lint"
    status=0
    scripts/check_aws.sh --lint || status=$?
fi
case $status in
    0) say "passed in $((SECONDS - start)) s" ;;
    69) say "SKIPPED: cfn-lint and parliament could not be installed" ;;
    *) die "failed: scripts/check_aws.sh --lint" 1 ;;
esac

log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
say "cargo test"
status=0
cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$log" || status=$?
say "tests ended after $((SECONDS - start)) s"
if ! grep -q '^test result: ' "$log"; then
    die "no test was run" "$((status ? status : 1))"
fi
((status == 0)) || say "error: cargo test failed; the lines above say where"
sum_of_tests "$log"
exit "$status"
