#!/usr/bin/env bash
# Packs target/ec2train-VERSION-x86_64.tar.gz: the program with the libraries it needs, to be unpacked and
# started on a machine that has nothing but a C and a C++ library. The same sources and tools in the
# same folder give the same bytes.
#
#   scripts/package.sh [PROGRAM]
#
# PROGRAM is ec2train; sagemaker packs the entry point of a container instead.
#
# Ends with 70 when something in it needs a younger C or C++ library than the oldest system it is made
# for, Amazon Linux 2023, has: build it on an older system then. scripts/check_package.sh tries it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Of Amazon Linux 2023; Debian 12 and Ubuntu 22.04 have 2.36 and 2.35, 3.4.30 and 3.4.30.
readonly OLDEST_GLIBC=2.34
readonly OLDEST_GLIBCXX=3.4.29
# Without libtorch.so: it is empty, and nothing here asks for it.
readonly LIBRARIES=(libtorch_cpu.so libc10.so 'libgomp*.so*' 'libcudart*.so*' 'libcupti*.so*')

say() { printf 'package: %s\n' "$*" >&2; }
die() { printf 'package: error: %s\n' "$1" >&2; exit "$2"; }

source scripts/rust.sh
use_rust || die "there is no Rust of at least $OLDEST_RUST; run scripts/setup.sh" 69
for tool in objdump strip tar gzip; do
    command -v "$tool" >/dev/null || die "missing: $tool; run scripts/setup.sh" 69
done

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
program=${1:-ec2train}
case $program in
    # The first goes on as the second where it takes libtorch.
    ec2train) programs=(ec2train ec2train-torch) ;;
    sagemaker) programs=(sagemaker) ;;
    *) die "there is no program $program to pack" 64 ;;
esac
name=$program-$version
archive=target/$name-x86_64.tar.gz
mkdir -p target
work=$(mktemp --directory --tmpdir=target)
trap 'rm -rf "$work"' EXIT
bundle=$work/$name
mkdir -p "$bundle"/{lib,LICENSES}

# --- The program ----------------------------------------------------------------------------------

say "building"
# In a folder of its own: this program does not look for libtorch where it was built.
EC2TRAIN_BUNDLE=1 cargo build --locked --release "${programs[@]/#/--bin=}" --target-dir target/bundle
cp "${programs[@]/#/target/bundle/release/}" "$bundle/"
strip "${programs[@]/#/$bundle/}"

# --- Its libraries --------------------------------------------------------------------------------

# Prints the libraries that file $1 asks for.
needed_by() { objdump --private-headers "$1" | awk '$1 == "NEEDED" { print $2 }'; }

for pattern in "${LIBRARIES[@]}"; do
    for library in .libtorch/lib/$pattern; do
        [[ -f $library ]] || continue
        cp --dereference "$library" "$bundle/lib/"
        chmod 644 "$bundle/lib/${library##*/}"
        strip --strip-unneeded "$bundle/lib/${library##*/}"
    done
done

# Every library is in the bundle, or one that each Linux has.
for file in "${programs[@]/#/$bundle/}" "$bundle"/lib/*; do
    for library in $(needed_by "$file"); do
        case $library in
            libc.so.6 | libm.so.6 | libdl.so.2 | librt.so.1 | libpthread.so.0 | ld-linux-x86-64.so.2) ;;
            libstdc++.so.6 | libgcc_s.so.1) ;;
            *) [[ -e $bundle/lib/$library ]] || die "${file##*/} needs $library, which is not in .libtorch/lib" 70 ;;
        esac
    done
done

# Prints the highest version node with prefix $1 that a file of the bundle asks for, and the file.
highest() {
    local file
    for file in "${programs[@]/#/$bundle/}" "$bundle"/lib/*; do
        # Weak symbols may be missing.
        objdump --dynamic-syms "$file" | awk -v file="${file##*/}" -v prefix="$1_" '
            $0 !~ / w / && /\*UND\*/ && match($0, "\\(" prefix "[0-9.]+\\)") {
                print substr($0, RSTART + length(prefix) + 1, RLENGTH - length(prefix) - 2), file
            }'
    done | sort --version-sort --unique | tail -n 1
}

# Whether version $1 is at most $2.
at_most() { printf '%s\n%s\n' "$1" "$2" | sort --version-sort --check=quiet; }

read -r glibc glibc_file <<<"$(highest GLIBC)"
read -r glibcxx glibcxx_file <<<"$(highest GLIBCXX)"
say "needs glibc $glibc (${glibc_file}) and libstdc++ with GLIBCXX_$glibcxx (${glibcxx_file})"
at_most "$glibc" "$OLDEST_GLIBC" ||
    die "$glibc_file needs glibc $glibc, and Amazon Linux 2023 has $OLDEST_GLIBC. This system ($(ldd --version | head -n 1)) is too young to build for it: build on Amazon Linux 2023 or Debian 12" 70
at_most "$glibcxx" "$OLDEST_GLIBCXX" ||
    die "$glibcxx_file needs GLIBCXX_$glibcxx, and Amazon Linux 2023 has $OLDEST_GLIBCXX. This system's compiler ($(c++ --version | head -n 1)) is too young to build for it: build on Amazon Linux 2023 or Debian 12" 70

# --- What belongs to it ---------------------------------------------------------------------------

if [[ $program == ec2train ]]; then
    mkdir -p "$bundle"/{scripts,deploy/{systemd,cloudwatch},data,TrainedModels}
    cp scripts/install_schedule.sh scripts/run_scheduled.sh "$bundle/scripts/"
    cp deploy/systemd/ec2train.{service,timer} "$bundle/deploy/systemd/"
    cp deploy/cloudwatch/{README.md,amazon-cloudwatch-agent.json} "$bundle/deploy/cloudwatch/"
    cp data/README.md "$bundle/data/"
    cp TrainedModels/README.md "$bundle/TrainedModels/"
    sed "s/@VERSION@/$version/g; s/@GLIBC@/$glibc/g" deploy/package/README.txt >"$bundle/README.txt"
fi

# --- Licences -------------------------------------------------------------------------------------

cp deploy/package/LICENSE-libtorch.txt "$bundle/LICENSES/libtorch.txt"
cp deploy/package/LICENSE-libgomp.txt "$bundle/LICENSES/libgomp.txt"

# The crates that are linked in: each distinct text once, under the names of those that carry it.
registry=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/)
crates=$(cargo tree --locked --edges normal --prefix none --format '{p}|{l}' | sed 's/ (\*)$//' | sort --unique)
without=()
while IFS='|' read -r crate licence; do
    crate=${crate/ v/-}
    [[ $crate != ec2train-* ]] || continue
    crate=${crate%% *}
    texts=()
    for folder in "${registry[@]}"; do
        while IFS= read -r file; do
            texts+=("$file")
        done < <(find "$folder$crate" -maxdepth 1 -type f \
            \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'unlicense*' \) 2>/dev/null | LC_ALL=C sort)
    done
    ((${#texts[@]})) || without+=("$crate: $licence")
    for file in "${texts[@]}"; do
        printf '%s|%s|%s\n' "$(sha256sum <"$file" | cut -c -64)" "$crate" "$file"
    done
    printf '%s: %s\n' "$crate" "$licence" >>"$bundle/LICENSES/crates.txt"
done <<<"$crates" >"$work/licences"
if ((${#without[@]})); then
    say "crates without a text of their licence, which is named instead: ${without[*]}"
fi
cut -d '|' -f 1 "$work/licences" | LC_ALL=C sort --unique | while read -r digest; do
    printf '\n%s\n' "$(printf '=%.0s' {1..100})"
    sed -n "s/^$digest|\([^|]*\)|.*/\1/p" "$work/licences"
    printf '%s\n\n' "$(printf '=%.0s' {1..100})"
    cat "$(sed -n "s/^$digest|[^|]*|//p" "$work/licences" | head -n 1)"
done >>"$bundle/LICENSES/crates.txt"

# --- The archive ----------------------------------------------------------------------------------

# The time of the commit: git knows no other.
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
chmod -R u=rwX,go=rX "$bundle"
tar --create --format=gnu --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner \
    --directory="$work" "$name" | gzip --no-name -6 >"$work/archive"
mv "$work/archive" "$archive"

say "$(du -h --apparent-size "$archive" | cut -f 1) packed, $(du -sh --apparent-size "$bundle" | cut -f 1) unpacked; SHA-256 $(sha256sum "$archive" | cut -d ' ' -f 1)"
echo "$archive"
