# shellcheck shell=bash
# Python environments of the scripts that need packages from PyPI. To be sourced, from the repository's
# root, by a script that has `say MESSAGE` and `die MESSAGE EXIT_CODE`.

# use_venv FOLDER REQUIREMENTS: leaves the folder with exactly the pinned versions of that file.
use_venv() {
    local venv=$1 requirements=$2
    cmp --silent "$requirements" "$venv/installed.txt" && return
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv" ||
        die "python3 cannot make a virtual environment (Debian: apt-get install python3-venv)" 69
    say "installing $(grep --count == "$requirements") packages and what they need into $venv"
    # Beside the environment: /tmp is a small memory file system on some machines.
    mkdir -p "$venv/tmp"
    TMPDIR=$PWD/$venv/tmp "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
        --requirement "$requirements" || die "pip could not install $requirements into $venv" 69
    rm -rf "${venv:?}/tmp"
    cp "$requirements" "$venv/installed.txt"
}
