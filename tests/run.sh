#!/bin/sh
# Every test: the unit tests in a plain and in a sanitised build, the formats against h5py, the
# job scripts on a real two-node Slurm, a few of them on another release of Debian
# (other-system.sh). On a fresh machine it installs what it needs first.
#
#   sh tests/run.sh [--quick]
#
# --quick leaves out the sanitised build, the emulated GPU, the cluster, the other system, the other
# compilers and what meson.build calls long. The last line is
# `N passed, N failed, N skipped`; the exit code is 0 only where nothing failed. With CI=true a
# skipped cluster suite counts as a failure. Builds go to build-test/ and build-asan/.
set -eu
cd "$(dirname "$0")/.."
started=$(date +%s)
quick=no
case ${1:-} in
'') ;;
--quick) quick=yes ;;
*) echo "tests/run.sh: unknown option '$1' (expected --quick)" >&2; exit 2 ;;
esac

passed=0 failed=0 skipped=0 logs=''
say() { printf '[%4d s] %s\n' $(($(date +%s) - started)) "$*"; }
count() { # PASSED FAILED SKIPPED
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

say "packages"
sh slurm/packages.sh build cluster test || say "going on with what is installed"

# Programs that read our files without our code; a folder of their own, outside the tree.
peers=${LOCKSTEP_PEERS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lockstep-peers}
if ! "$peers/bin/python" -c 'import h5py, numpy' 2>/dev/null; then
    say "h5py and numpy, into $peers"
    { python3 -m venv "$peers" && "$peers/bin/pip" install --quiet h5py numpy; } >/dev/null 2>&1 ||
        say "h5py could not be installed: what needs it is skipped"
fi
if "$peers/bin/python" -c 'import h5py, numpy' 2>/dev/null; then
    "$peers/bin/python" -c 'import safetensors' 2>/dev/null ||
        "$peers/bin/pip" install --quiet safetensors >/dev/null 2>&1 ||
        say "safetensors could not be installed: what needs it is skipped"
    "$peers/bin/python" -c 'import moto.server' 2>/dev/null ||
        "$peers/bin/pip" install --quiet 'moto[s3,server]' >/dev/null 2>&1 ||
        say "moto could not be installed: what needs it is skipped"
    export LOCKSTEP_PYTHON="$peers/bin/python"
    # Its reader alone, without the server's many packages.
    "$peers/bin/python" -c 'import tensorboard, google.protobuf' 2>/dev/null ||
        "$peers/bin/pip" install --quiet --no-deps tensorboard protobuf absl-py packaging >/dev/null 2>&1 ||
        say "tensorboard could not be installed: what needs it is skipped"
    "$peers/bin/python" -c 'import pandas' 2>/dev/null ||
        "$peers/bin/pip" install --quiet pandas >/dev/null 2>&1 ||
        say "pandas could not be installed: what needs it is skipped"
fi

# PyTorch, whose training steps ours are compared with (tests/peer): Debian's, or what
# LOCKSTEP_PEER_PYTHON names. PyPI's wheel does not start without 4 GB of CUDA's libraries.
if [ -z "${LOCKSTEP_PEER_PYTHON:-}" ]; then
    say "PyTorch"
    sh slurm/packages.sh pytorch || say "PyTorch could not be installed: what needs it is skipped"
fi

build() { # FOLDER OPTION...
    folder=$1
    shift
    say "build: $folder"
    if [ -f "$folder/build.ninja" ]; then set -- --reconfigure "$@"; fi
    # shellcheck disable=SC2086 # a command of several words, or none
    if ! { meson setup "$folder" "$@" && ${gently:-} meson compile -C "$folder"; } >"$folder.log" 2>&1; then
        tail -n 40 "$folder.log"
        echo "FAIL: the build of $folder"
        rm -f "$folder.log"
        count 0 1 0
        return 1
    fi
    rm -f "$folder.log"
}

# Half of the tests wait for most of their time (a stopped rank, a deadline, a disk): more of them at once
# than there are cores, whose clocks are therefore generous.
cores=$(nproc)
run_tests() { # FOLDER LOG MULTIPLIER-OF-TIMEOUTS OPTION-OF-MESON-TEST...
    folder=$1 log=$2 multiplier=$3
    shift 3
    say "tests: $folder $*"
    rm -f "$folder/meson-logs/$log.json"
    # shellcheck disable=SC2086 # a command of several words, or none
    ${gently:-} meson test -C "$folder" --no-rebuild --logbase "$log" --timeout-multiplier "$multiplier" \
        --num-processes "${processes:-$((cores + 1))}" \
        --print-errorlogs "$@" >"$folder/$log.txt" 2>&1 </dev/null || true
    say "ended: $folder $*"
}

count_tests() { # FOLDER LOG
    if [ ! -f "$1/meson-logs/$2.json" ]; then
        # No test at all is no success.
        tail -n 20 "$1/$2.txt" || true
        echo "FAIL: $1 ran no test ($2)"
        count 0 1 0
        return
    fi
    logs="$logs $1/$2"
    counts=$(python3 tests/meson_counts.py "$1" "$2")
    # shellcheck disable=SC2086 # three numbers
    count $counts
}

# Leaks are looked for where no MPI runs: what its plug-ins leave behind when they are unloaded has
# no name that a suppression could match.
export LSAN_OPTIONS="suppressions=$PWD/tests/leaks.txt:print_suppressions=0"
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# README's commands on the other release of Debian that people have, in short.
other_system() {
    release=trixie
    ! grep -q '^VERSION_CODENAME=trixie' /etc/os-release 2>/dev/null || release=bookworm
    say "other system: $release"
    nice -n 10 sh tests/other-system.sh $release --quick </dev/null >build-test/other-system.txt 2>&1 ||
        [ $? -ne 77 ] || echo "$release: 0 passed, 0 failed, 1 skipped" >>build-test/other-system.txt
    say "ended: other system"
}

count_other_system() {
    grep -E '^(FAIL|skipped|not possible|    )' build-test/other-system.txt |
        sed 's/^not possible here/skipped: other system/' || true
    # shellcheck disable=SC2046 # three numbers
    set -- $(sed -n '$s/^[a-z]*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
        build-test/other-system.txt)
    count "${1:-0}" "${2:-1}" "${3:-0}"
    [ $# -eq 3 ] || { echo "FAIL: the other system stopped half-way"; tail -n 20 build-test/other-system.txt; }
}

# The sanitised build and in it the tests that watch no clock, on what the rest leaves of the cores.
beside() {
    gently='nice -n 10' processes=$cores
    # Lines alone, for stacks: what a debugger needs besides takes a sixth of the compiling.
    build build-asan --buildtype=debugoptimized --optimization=1 -Ddebug=false -Dc_args=-g1 -Dcpp_args=-g1 \
        -Dwerror=true -Db_sanitize=address,undefined -Dcuda=disabled && run_tests build-asan patient 10 --suite patient
}

# Two nodes that mostly wait, so the rest is built beside it.
cluster_suite() {
    say "cluster suite"
    cluster_log=$(mktemp)
    trap 'rm -f "$cluster_log"' EXIT
    sh tests/cluster/run.sh build-test/lockstep </dev/null | tee "$cluster_log"
    # Its last line: "cluster: N passed, N failed, N skipped".
    counts=$(sed -n '$s/^cluster: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$cluster_log")
    # shellcheck disable=SC2086 # three numbers
    count ${counts:-0 1 0}
    [ -n "$counts" ] || echo "FAIL: the cluster suite stopped half-way"
    say "ended: cluster suite"
}

if build build-test --buildtype=release -Dwerror=true; then
    if [ $quick = yes ]; then
        run_tests build-test all 2 --no-suite hand --no-suite emulated --no-suite gpu --no-suite compilers --no-suite long
        count_tests build-test all
    else
        beside </dev/null &
        helper=$!
        # Half of it waits: for a mirror, for dpkg, for a linker.
        other_system &
        other=$!
        cluster_suite
        # The emulated GPU's tests run once, in the sanitised build; but those that train, in this one.
        run_tests build-test all 2 --no-suite hand --no-suite emulated
        count_tests build-test all
        if wait "$helper"; then
            count_tests build-asan patient
            run_tests build-asan unit 8 --suite unit --no-suite patient --no-suite peer
            count_tests build-asan unit
            ASAN_OPTIONS=detect_leaks=0 run_tests build-asan rest 8 --suite mpi --suite pack \
                --suite emulated --no-suite patient
            count_tests build-asan rest
        else
            count 0 1 0
            echo "FAIL: no sanitised build"
        fi
        wait "$other" || true
        count_other_system
    fi
fi

echo "Slowest by the clock, beside others:"
# shellcheck disable=SC2086 # a list
python3 tests/meson_slowest.py $logs
say "done"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
