# shellcheck shell=bash
# What the scripts share: announcing steps, and packages. Sourced, after `cd` to the root of the tree.
set -euo pipefail

jobs=$(nproc 2>/dev/null || echo 2)

say()
{
    printf '\n=== %s\n' "$*"
}

die()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# has_header <compiler> <header>
has_header()
{
    echo "#include <$2>" | "$1" -E -x c - >/dev/null 2>&1
}

# For each: a shell command that succeeds if it is there, and Debian's package. (Used by who sources this.)
# shellcheck disable=SC2034
build_needs=(
    'command -v gcc && has_header gcc stdlib.h' build-essential
    'command -v cmake' cmake
    'command -v ninja' ninja-build
    'command -v pkg-config' pkg-config
    'pkg-config --exists hwloc' libhwloc-dev
)
# shellcheck disable=SC2034
test_needs=(
    'command -v g++' g++
    'command -v clang' clang
    'pkg-config --exists ck' libck-dev
    'pkg-config --exists hiredis' libhiredis-dev
    'command -v redis-server' redis-server
    'pkg-config --exists libuv' libuv1-dev
    'pkg-config --exists gio-2.0' libglib2.0-dev
    'has_header gcc http_parser.h' libhttp-parser-dev
    'command -v curl' curl
    'command -v wrk' wrk
    'command -v ab' apache2-utils
    'command -v python3' python3
    'command -v doxygen' doxygen
    'has_header gcc sys/sdt.h' systemtap-sdt-dev
    'command -v groff' groff-base
    'command -v nginx' nginx-light
    'command -v chromium || command -v chromium-browser' chromium
    'command -v nc' netcat-openbsd
    'command -v gdb' gdb
    'has_header gcc uthash.h' uthash-dev
    'pkg-config --exists libsodium' libsodium-dev
    'has_sanitizer address' gcc
    'has_sanitizer thread' gcc
)

# gcc brings the sanitizers' run-time libraries on Debian; elsewhere they may be packages of their own.
has_sanitizer()
{
    local library
    case $1 in
    address) library=libasan.so ;;
    thread) library=libtsan.so ;;
    esac
    [ "$(gcc -print-file-name="$library")" != "$library" ]
}

# are_there <probe> <package> ...
are_there()
{
    while [ $# -gt 0 ]; do
        eval "$1" >/dev/null 2>&1 || return
        shift 2
    done
}

# set_up <probe> <package> ...: installs what is missing, having said what. If all is there, touches nothing and asks
# no network.
set_up()
{
    local missing=()
    while [ $# -gt 0 ]; do
        eval "$1" >/dev/null 2>&1 || missing+=("$2")
        shift 2
    done
    if [ ${#missing[@]} = 0 ]; then
        say "Packages: all there"
        return
    fi
    say "Packages missing: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "install them and start again (this is not root, and there is no sudo)"
        as_root=(sudo)
    fi
    command -v apt-get >/dev/null || die "install them and start again (there is no apt-get here; the names are Debian's)"
    "${as_root[@]}" apt-get update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# build <preset> [target ...]
build()
{
    local preset=$1
    shift
    say "Configure: $preset"
    cmake --preset "$preset"
    say "Build: $preset"
    cmake --build --preset "$preset" -j "$jobs" ${1:+--target "$@"}
}
