#!/bin/sh
# Fetches CIFAR-10's official binary version, verifies it, and packs it:
#
#   sh data/cifar10.sh [--archive FILE] [FOLDER]      (FOLDER: data/cifar10)
#
# A download that stopped goes on where it stopped. --archive takes a copy that is here already.
# LOCKSTEP names the program (build/lockstep, or the one in PATH). Exit codes: 0 packed, 1 no
# network or a failure, 2 bad input.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
url=${CIFAR10_URL:-https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz}
sha256=${CIFAR10_SHA256:-c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd}
archive= folder=

bad() { echo "cifar10.sh: $1" >&2; exit 2; }
fail() { echo "cifar10.sh: $1" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
    --archive)
        [ $# -gt 1 ] || bad "--archive: expected a file, found nothing"
        archive=$2
        shift 2
        ;;
    --archive=*) archive=${1#--archive=}; shift ;;
    --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) bad "unknown option '$1' (expected --archive FILE)" ;;
    *)
        [ -z "$folder" ] || bad "expected one folder, found '$folder' and '$1'"
        folder=$1
        shift
        ;;
    esac
done
folder=${folder:-$here/cifar10}
lockstep=${LOCKSTEP:-$here/../build/lockstep}
[ -x "$lockstep" ] || lockstep=$(command -v lockstep) ||
    bad "expected build/lockstep or lockstep in PATH, found none (meson setup build && ninja -C build)"
[ ! -e "$folder/manifest.h5" ] || bad "$folder: expected a folder without a data set, found manifest.h5"

is_right() { printf '%s  %s\n' "$sha256" "$1" | sha256sum --check --status 2>/dev/null; }

# The download stays beside the data set until it is whole, so that it can be resumed.
download() {
    command -v curl >/dev/null || command -v wget >/dev/null || fail "expected curl or wget, found neither"
    mkdir -p "$(dirname "$folder")" || exit 2
    archive=$folder.download.tar.gz
    is_right "$archive" && return
    if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 \
            --continue-at - --output "$archive" "$url" 2>"$said" && return
    else
        wget --no-verbose --tries=2 --timeout=20 --continue --output-document="$archive" "$url" 2>"$said" && return
    fi
    [ -s "$archive" ] || rm -f "$archive"
    fail "cannot fetch $url: $(tail -n 1 "$said") (without a network, take a copy: --archive FILE)"
}

said=$(mktemp)
unpacked=
trap 'rm -rf "$said" ${unpacked:+"$unpacked"}' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fetched=no
if [ -z "$archive" ]; then
    fetched=yes
    download
fi
[ -r "$archive" ] || bad "$archive: expected a readable file, found none"
if ! is_right "$archive"; then
    found=$(sha256sum <"$archive" | cut -d ' ' -f 1)
    [ $fetched = no ] || rm -f "$archive"
    fail "$archive: expected SHA-256 $sha256, found $found"
fi
unpacked=$(mktemp -d "${TMPDIR:-/tmp}/cifar10.XXXXXX")
tar -xzf "$archive" -C "$unpacked" 2>"$said" || fail "$archive: cannot unpack: $(tail -n 1 "$said")"
code=0
"$lockstep" pack cifar10 "$unpacked" "$folder" || code=$?
[ $code -ne 0 ] || [ $fetched = no ] || rm -f "$archive"
exit $code
