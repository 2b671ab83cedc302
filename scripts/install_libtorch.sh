#!/usr/bin/env bash
# Puts libtorch 2.13.0 for the CPU into .libtorch/. Does nothing when it is there.
#
#   1. The official CPU archive (126 MB), when download.pytorch.org can be reached.
#   2. Otherwise the torch wheel from PyPI (527 MB). The wheel is the CUDA build: only
#      libtorch_cpu.so, libc10.so, libgomp and the headers are taken from it. The few CUDA symbols
#      libtorch_cpu.so refers to, none of which is called without a GPU, are satisfied by stubs.
#
# Both are pinned by SHA-256. To use a libtorch of your own: LIBTORCH=/path scripts/setup.sh
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VERSION=2.13.0
readonly TARGET=.libtorch
readonly ZIP_URL="https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-${VERSION}%2Bcpu.zip"
readonly ZIP_SHA256=edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e
readonly WHEEL_SHA256=60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7

say() { printf 'libtorch: %s\n' "$*" >&2; }
die() { printf 'libtorch: error: %s\n' "$1" >&2; exit "${2:-70}"; }

# The stamp is written last, so an interrupted installation is started again.
is_complete() { [[ -f $1/build-version && -e $1/lib/libtorch_cpu.so && -d $1/include ]]; }

if is_complete "$TARGET"; then
    say "$(cat "$TARGET/build-version") in $TARGET"
    exit 0
fi

if [[ -n ${LIBTORCH:-} ]]; then
    is_complete "$LIBTORCH" || die "LIBTORCH=$LIBTORCH holds no libtorch (lib/libtorch_cpu.so, include/, build-version)" 66
    [[ $(cat "$LIBTORCH/build-version") == "$VERSION"* ]] ||
        die "LIBTORCH=$LIBTORCH is $(cat "$LIBTORCH/build-version"), but tch 0.26 needs $VERSION" 65
    rm -rf "$TARGET"
    ln -s "$(realpath "$LIBTORCH")" "$TARGET"
    say "$TARGET -> $LIBTORCH"
    exit 0
fi

[[ $(uname -sm) == "Linux x86_64" ]] ||
    die "no pinned libtorch for $(uname -sm); set LIBTORCH to the folder of a libtorch $VERSION" 69

work=$(mktemp -d "$PWD/.libtorch-install.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Unpacks archive $1, members that start with $2, into folder $3. Python because a minimal Debian or
# Amazon Linux has no unzip, and the wheel's other two gigabytes need not be written.
extract() {
    python3 - "$1" "$2" "$3" <<'PY'
import pathlib, shutil, sys, zipfile

archive, prefix, target = sys.argv[1:]
wanted = ("include/", "lib/libtorch_cpu.so", "lib/libtorch.so", "lib/libc10.so", "lib/libgomp", "build-version")
with zipfile.ZipFile(archive) as source:
    for member in source.infolist():
        name = member.filename.removeprefix(prefix) if member.filename.startswith(prefix) else ""
        if not name.startswith(wanted) or member.is_dir():
            continue
        path = pathlib.Path(target, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with source.open(member) as data, open(path, "wb") as file:
            shutil.copyfileobj(data, file, 1 << 20)
PY
}

# Links library $1 (a soname) that defines every undefined symbol of version node $2 in the file $3.
link_stub() {
    local soname=$1 node=$2 user=$3 symbols
    symbols=$(nm -D --undefined-only "$user" | sed -n "s/^ *U \(.*\)@${node}\$/\1/p")
    [[ -n $symbols ]] || die "$user refers to no $node symbol: is it the pinned wheel?"
    {
        echo '// 100 is cudaErrorNoDevice: every caller then takes its path without a GPU.'
        for symbol in $symbols; do
            if [[ $symbol == cudaGetDeviceCount ]]; then
                echo 'int cudaGetDeviceCount(int *count) { *count = 0; return 100; }'
            else
                echo "int $symbol(void) { return 100; }"
            fi
        done
    } >"$work/stub.c"
    echo "$node { global: *; };" >"$work/stub.map"
    cc -shared -fPIC -O1 -Wno-builtin-declaration-mismatch -Wl,-soname,"$soname" \
        -Wl,--version-script,"$work/stub.map" -o "$work/libtorch/lib/$soname" "$work/stub.c"
}

from_zip() {
    say "downloading $ZIP_URL"
    curl --fail --silent --show-error --location --connect-timeout 5 --retry 2 \
        --output "$work/libtorch.zip" "$ZIP_URL" || return 1
    echo "$ZIP_SHA256  $work/libtorch.zip" | sha256sum --check --status ||
        die "the SHA-256 of $ZIP_URL is not the pinned one; nothing was installed" 69
    extract "$work/libtorch.zip" libtorch/ "$work/libtorch"
}

from_wheel() {
    say "taking it from the torch $VERSION wheel instead"
    python3 -m pip --version >/dev/null 2>&1 || die "python3 -m pip is missing; run scripts/setup.sh" 69
    echo "torch==$VERSION --hash=sha256:$WHEEL_SHA256" >"$work/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 \
        --platform manylinux_2_28_x86_64 --dest "$work" --requirement "$work/requirements.txt" ||
        die "neither download.pytorch.org nor PyPI can be reached; set LIBTORCH to the folder of a libtorch $VERSION" 69
    extract "$work"/torch-*.whl torch/ "$work/libtorch"
    rm -f "$work/libtorch/lib/libtorch.so"
    link_stub libcudart.so.13 libcudart.so.13 "$work/libtorch/lib/libtorch_cpu.so"
    link_stub libcupti.so.13 libcupti.so.13 "$work/libtorch/lib/libtorch_cpu.so"
    # The wheel's own libtorch.so would pull in libtorch_cuda.so.
    echo >"$work/empty.c"
    cc -shared -fPIC -Wl,-soname,libtorch.so -Wl,--no-as-needed -L"$work/libtorch/lib" \
        -Wl,-rpath-link,"$work/libtorch/lib" -Wl,-rpath,'$ORIGIN' -ltorch_cpu -lc10 \
        -o "$work/libtorch/lib/libtorch.so" "$work/empty.c"
    echo "$VERSION+cpu.from.wheel" >"$work/libtorch/build-version"
}

from_zip || from_wheel
is_complete "$work/libtorch" || die "the downloaded archive is not a libtorch"
rm -rf "$TARGET"
mv "$work/libtorch" "$TARGET"
say "$(cat "$TARGET/build-version") in $TARGET"
