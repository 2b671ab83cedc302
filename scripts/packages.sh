# shellcheck shell=bash
# Sourced: installs the system packages that a script needs, by apt-get or dnf.
# The sourcing script defines `say` and `die MESSAGE EXIT_CODE`.

# Whether tool $1 is on this machine.
has_tool() {
    case $1 in
        c++) command -v c++ && command -v cc ;;
        ca-certificates) [[ -s /etc/ssl/certs/ca-certificates.crt || -s /etc/pki/tls/certs/ca-bundle.crt ]] ;;
        pip) python3 -m pip --version ;;
        *) command -v "$1" ;;
    esac &>/dev/null
}

# The package of tool $1 for package manager $2. The C++ compiler's brings cc, ld, nm and libc's headers.
package_of() {
    case $1/$2 in
        c++/apt-get) echo g++ ;;
        c++/dnf) echo gcc-c++ ;;
        objdump/*) echo binutils ;;
        pip/*) echo python3-pip ;;
        *) echo "$1" ;;
    esac
}

# Runs a command as root.
as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Installs the tools that are missing; the package manager is not asked when none is.
install_tools() {
    local tool manager command missing=() packages=()
    for tool in "$@"; do
        has_tool "$tool" || missing+=("$tool")
    done
    ((${#missing[@]})) || return 0

    for manager in apt-get dnf none; do
        command -v "$manager" >/dev/null && break
    done
    [[ $manager != none ]] ||
        die "missing: ${missing[*]}. There is neither apt-get nor dnf here: install them by this system's own means" 69
    for tool in "${missing[@]}"; do
        packages+=("$(package_of "$tool" "$manager")")
    done
    command="$manager install -y ${packages[*]}"
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "missing: ${missing[*]}. Only root can install them and there is no sudo; as root: $command" 77
        sudo true || die "missing: ${missing[*]}. sudo was refused; as root: $command" 77
    fi

    say "$command"
    if [[ $manager == apt-get ]]; then
        # A freshly started cloud machine may be updating itself: wait for its lock. Errors and warnings
        # are on stderr; the hundred lines on stdout are left out.
        local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
        if [[ -z ${PACKAGE_LISTS_ARE_FRESH:-} ]]; then
            as_root "${apt[@]}" update >/dev/null || say "warning: apt-get update failed; trying with the lists that are here"
            export PACKAGE_LISTS_ARE_FRESH=1
        fi
        as_root "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null
    else
        as_root dnf install -y --quiet --setopt=install_weak_deps=False "${packages[@]}" >&2
    fi || die "cannot install ${packages[*]}; the lines above say why" 69
    hash -r
    for tool in "${missing[@]}"; do
        has_tool "$tool" || die "$tool is still missing after: $command" 69
    done
}
