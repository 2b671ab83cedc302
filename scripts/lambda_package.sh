#!/usr/bin/env bash
# Packs target/ec2train-lambda.zip: the Lambda function for the runtime provided.al2023, x86-64. The same
# program gives the same bytes. Prints the path.
#
# Ends with 70 when the program needs a younger C library than Amazon Linux 2023 has, or the zip is larger
# than 4 MB.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly OLDEST_GLIBC=2.34
readonly MOST_BYTES=4000000

say() { printf 'lambda: %s\n' "$*" >&2; }
die() { printf 'lambda: error: %s\n' "$1" >&2; exit "$2"; }

source scripts/packages.sh
source scripts/rust.sh
use_rust || die "there is no Rust of at least $OLDEST_RUST; run scripts/setup.sh" 69
install_tools zip objdump

say "building"
cargo build --locked --profile lambda --no-default-features --features lambda --bin lambda >&2
program=target/lambda/lambda

youngest=$(objdump -T "$program" | sed -n 's/.*(\{0,1\}GLIBC_\([0-9.]*\).*/\1/p' | sort --version-sort | tail -n 1)
printf '%s\n' "$youngest" "$OLDEST_GLIBC" | sort --version-sort --check=quiet ||
    die "the program needs glibc $youngest, Amazon Linux 2023 has $OLDEST_GLIBC: build on an older system" 70

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install --mode=755 "$program" "$work/bootstrap"
touch --date=@315532800 "$work/bootstrap"
rm -f target/ec2train-lambda.zip
TZ=UTC zip --quiet --junk-paths -X -9 target/ec2train-lambda.zip "$work/bootstrap"

bytes=$(stat --format=%s target/ec2train-lambda.zip)
((bytes <= MOST_BYTES)) || die "$bytes bytes are more than $MOST_BYTES" 70
say "$bytes bytes packed, $(stat --format=%s "$program") unpacked, glibc $youngest"
echo target/ec2train-lambda.zip
