# shellcheck shell=bash
# Sourced in the root of the repository: finds a Rust that can build this package.
# The sourcing script defines `say` and `die MESSAGE EXIT_CODE`.

# Where rustup puts cargo; a shell that was open before the installation does not have it.
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
export PATH

PINNED_RUST=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
OLDEST_RUST=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)

# Whether cargo runs and is new enough; $1 may name a toolchain of rustup, as in +stable.
cargo_suffices() {
    local version
    # Only looking: a missing toolchain must not be downloaded here.
    version=$(RUSTUP_AUTO_INSTALL=0 cargo "$@" --version 2>/dev/null) || return 1
    version=${version#cargo }
    printf '%s\n' "$OLDEST_RUST" "${version%% *}" | sort --version-sort --check=quiet
}

# Makes cargo usable, with an installed toolchain other than the pinned one where need be.
use_rust() {
    local toolchain
    cargo_suffices && return
    command -v rustup >/dev/null || return 1
    for toolchain in $(rustup toolchain list | sed '/^nightly\|^beta/d; s/ .*//' | sort --version-sort --reverse); do
        if cargo_suffices "+$toolchain"; then
            export RUSTUP_TOOLCHAIN=$toolchain
            say "warning: Rust $PINNED_RUST is not installed; using toolchain $toolchain instead"
            return
        fi
    done
    return 1
}
