#!/usr/bin/env bash
# Installs what building this package needs: a C++ compiler, Rust and libtorch. Installs only what is
# missing, so it may be run again at any time. System packages need root or sudo; the rest stays in
# .libtorch/, ~/.cargo and ~/.rustup.
#
# Exit codes: 69 something could not be downloaded, 73 the disk is full, 77 permission is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: error: %s\n' "$1" >&2; exit "$2"; }

cargo_before=$(command -v cargo || true)
toolchain_before=${RUSTUP_TOOLCHAIN:-}
source scripts/packages.sh
source scripts/rust.sh

# Installs rustup together with the pinned toolchain.
install_rustup() {
    local installer
    installer=$(mktemp)
    say "installing Rust $PINNED_RUST from https://sh.rustup.rs"
    if curl --proto '=https' --tlsv1.2 --fail --silent --show-error --location --connect-timeout 10 \
        --output "$installer" https://sh.rustup.rs &&
        # An older Rust elsewhere on the PATH stays where it is.
        RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$installer" -y --no-modify-path --profile minimal \
            --default-toolchain "$PINNED_RUST" --component clippy --component rustfmt >&2; then
        rm -f "$installer"
        return
    fi
    rm -f "$installer"
    # Debian's package reaches the toolchains' server only, which a firewall may let through.
    if command -v apt-get >/dev/null && { ((EUID == 0)) || command -v sudo >/dev/null; }; then
        say "trying the rustup package instead"
        (install_tools rustup)
    fi
}

# Leaves a cargo that can build this package.
install_rust() {
    if ! cargo_suffices; then
        command -v rustup >/dev/null || install_rustup || true
        hash -r
    fi
    if ! cargo_suffices && command -v rustup >/dev/null; then
        say "installing Rust $PINNED_RUST"
        RUST_BACKTRACE=0 rustup toolchain install "$PINNED_RUST" --profile minimal --component clippy --component rustfmt \
            --no-self-update >&2 || true
    fi
    use_rust || die "there is no Rust of at least $OLDEST_RUST, and none could be downloaded.
  Install one (https://rustup.rs), put its cargo on the PATH and run this script again." 69

    if ! cargo clippy --version &>/dev/null || ! cargo fmt --version &>/dev/null; then
        rustup component add clippy rustfmt >&2 ||
            say "warning: no clippy or rustfmt: training works, scripts/test.sh does not"
    fi
}

install_tools c++ curl ca-certificates
install_rust
scripts/install_libtorch.sh
say "ready: $(cargo --version), $(c++ --version | head -n 1)"
if [[ -z $cargo_before ]]; then
    say "to call cargo from this shell: export PATH=\"${CARGO_HOME:-$HOME/.cargo}/bin:\$PATH\""
fi
if [[ ${RUSTUP_TOOLCHAIN:-} != "$toolchain_before" ]]; then
    say "to call cargo from this shell: export RUSTUP_TOOLCHAIN=$RUSTUP_TOOLCHAIN"
fi
