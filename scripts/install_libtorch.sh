#!/usr/bin/env bash
# Puts libtorch 2.13.0 for the CPU into .libtorch/. Does nothing when it is there.
#
#   1. The official CPU archive (126 MB), when download.pytorch.org can be reached.
#   2. Otherwise the torch wheel from PyPI (527 MB). The wheel is the CUDA build: only
#      libtorch_cpu.so, libc10.so, libgomp and the headers are taken from it. The few CUDA symbols
#      libtorch_cpu.so refers to, none of which is called without a GPU, are satisfied by stubs.
#
# Both are pinned by SHA-256. To use a libtorch of your own: LIBTORCH=/path scripts/setup.sh
#
# Exit codes: 65 and 66 LIBTORCH is of another version or empty, 69 nothing could be downloaded,
# 70 what was downloaded does not work, 73 the disk is full, 75 another installation does not end,
# 77 permission is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VERSION=2.13.0
readonly TARGET=.libtorch
readonly ZIP_URL="https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-${VERSION}%2Bcpu.zip"
readonly ZIP_SHA256=edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e
readonly WHEEL_SHA256=60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7
# Archive and unpacked files together.
readonly ZIP_MB=700
readonly WHEEL_MB=1200

say() { printf 'libtorch: %s\n' "$*" >&2; }
die() { printf 'libtorch: error: %s\n' "$1" >&2; exit "$2"; }

source scripts/packages.sh

# Whether folder $1 holds a whole libtorch of the right version.
is_complete() {
    [[ -e $1/lib/libtorch_cpu.so && -d $1/include && -f $1/build-version ]] &&
        [[ $(<"$1/build-version") == "$VERSION"* ]]
}

if is_complete "$TARGET"; then
    say "$(<"$TARGET/build-version") in $TARGET"
    exit 0
fi

[[ -w . ]] || die "cannot write to $PWD: check its owner and mode, or run this script as its owner" 77

if [[ -n ${LIBTORCH:-} ]]; then
    [[ -f $LIBTORCH/build-version ]] ||
        die "LIBTORCH=$LIBTORCH holds no libtorch (lib/libtorch_cpu.so, include/, build-version)" 66
    is_complete "$LIBTORCH" ||
        die "LIBTORCH=$LIBTORCH is $(<"$LIBTORCH/build-version") or incomplete, but tch 0.26 needs a whole $VERSION" 65
    rm -rf "$TARGET"
    ln -s "$(realpath "$LIBTORCH")" "$TARGET"
    say "$TARGET -> $LIBTORCH"
    exit 0
fi

[[ $(uname -sm) == "Linux x86_64" ]] ||
    die "no pinned libtorch for $(uname -sm); set LIBTORCH to the folder of a libtorch $VERSION" 69

# One installation at a time. Programs started from here inherit the lock: while a download that
# outlived its killed script still writes, the next script waits.
exec 9>.libtorch-install.lock
if ! flock --nonblock 9; then
    say "waiting for another installation to end"
    flock --timeout 1800 9 || die "another installation holds $PWD/.libtorch-install.lock" 75
    if is_complete "$TARGET"; then
        exit 0
    fi
fi

# Holding the lock, whatever folders are there were left by interrupted installations.
rm -rf .libtorch-install.*/
work=$PWD/.libtorch-install.$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT

# Ends the script unless $1 MB are free here.
require_space() {
    local free_mb
    free_mb=$(df --output=avail --block-size=1MB . | tail -n 1)
    ((free_mb >= $1)) ||
        die "$((free_mb)) MB are free on the disk of $PWD, and installing libtorch needs $1. Free some and start again" 73
}

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

# Prints the C definition of the CUDA function $1 as it behaves on a machine without a GPU.
stub_of() {
    case $1 in
        cudaGetErrorString)
            echo "const char *$1(int error) { (void)error; return \"this libtorch is without CUDA\"; }" ;;
        cuptiGetResultString)
            echo "int $1(int result, const char **text) { (void)result; *text = \"this libtorch is without CUPTI\"; return 0; }" ;;
        cuptiGetCallbackName)
            echo "int $1(int domain, unsigned id, const char **name) { (void)domain; (void)id; *name = \"\"; return 100; }" ;;
        cudaGetDeviceCount | cudaDriverGetVersion | cudaRuntimeGetVersion | cuptiGetVersion)
            echo "int $1(int *value) { *value = 0; return 100; }" ;;
        # 100 is cudaErrorNoDevice, and an error to CUPTI too: the caller goes on without a GPU.
        *) echo "int $1(void) { return 100; }" ;;
    esac
}

# Links library $1 (a soname, and the symbols' version node) with every symbol the file $2 needs of it.
link_stub() {
    local soname=$1 user=$2 symbols symbol
    symbols=$(nm -D --undefined-only "$user" | sed -n "s/^ *U \(.*\)@${soname}\$/\1/p")
    [[ -n $symbols ]] || die "$user refers to no symbol of $soname: is it the pinned wheel?" 70
    for symbol in $symbols; do
        stub_of "$symbol"
    done >"$work/stub.c"
    echo "$soname { global: *; };" >"$work/stub.map"
    cc -shared -fPIC -O1 -Wl,-soname,"$soname" -Wl,--version-script,"$work/stub.map" \
        -o "$work/libtorch/lib/$soname" "$work/stub.c"
}

# Fails when the archive cannot be had; the wheel is the other way.
from_zip() {
    require_space "$ZIP_MB"
    say "downloading $ZIP_URL"
    local progress=(--silent --show-error)
    [[ -t 2 ]] && progress=(--progress-bar)
    # Gives up below 10 kB/s for 30 s.
    curl "${progress[@]}" --fail --location --connect-timeout 5 --retry 2 --speed-limit 10000 --speed-time 30 \
        --output "$work/libtorch.zip" "$ZIP_URL" || return
    if ! echo "$ZIP_SHA256  $work/libtorch.zip" | sha256sum --check --status; then
        say "warning: what came from there does not have the pinned SHA-256"
        rm -f "$work/libtorch.zip"
        return 1
    fi
    extract "$work/libtorch.zip" libtorch/ "$work/libtorch"
}

from_wheel() {
    require_space "$WHEEL_MB"
    say "taking it from the torch $VERSION wheel instead"
    install_tools c++ pip
    local progress=(--quiet)
    [[ -t 1 ]] && progress=()
    echo "torch==$VERSION --hash=sha256:$WHEEL_SHA256" >"$work/requirements.txt"
    # TMPDIR: /tmp is in memory on Amazon Linux. No cache: a second copy would stay on the disk.
    TMPDIR=$work python3 -m pip download "${progress[@]}" --disable-pip-version-check --no-cache-dir --no-deps \
        --require-hashes --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 \
        --platform manylinux_2_28_x86_64 --dest "$work" --requirement "$work/requirements.txt" >&2 ||
        die "neither download.pytorch.org nor PyPI gave a libtorch; set LIBTORCH to the folder of a libtorch $VERSION" 69
    extract "$work"/torch-*.whl torch/ "$work/libtorch"
    rm -f "$work"/torch-*.whl "$work/libtorch/lib/libtorch.so"
    link_stub libcudart.so.13 "$work/libtorch/lib/libtorch_cpu.so"
    link_stub libcupti.so.13 "$work/libtorch/lib/libtorch_cpu.so"
    # The wheel's own libtorch.so would pull in libtorch_cuda.so.
    : >"$work/empty.c"
    # shellcheck disable=SC2016  # $ORIGIN is the dynamic loader's.
    cc -shared -fPIC -Wl,-soname,libtorch.so -Wl,--no-as-needed -L"$work/libtorch/lib" \
        -Wl,-rpath-link,"$work/libtorch/lib" -Wl,-rpath,'$ORIGIN' -ltorch_cpu -lc10 \
        -o "$work/libtorch/lib/libtorch.so" "$work/empty.c"
    echo "$VERSION+cpu.from.wheel" >"$work/libtorch/build-version"
}

install_tools curl ca-certificates python3
if ! from_zip; then
    rm -rf "$work/libtorch"
    from_wheel
fi
is_complete "$work/libtorch" || die "the downloaded archive is not a libtorch $VERSION" 70
# Resolves every symbol, as the program's start will.
python3 -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$work/libtorch/lib/libtorch.so" ||
    die "this system cannot load the downloaded libtorch" 70
rm -rf "$TARGET"
mv "$work/libtorch" "$TARGET"
say "$(<"$TARGET/build-version") in $TARGET"
