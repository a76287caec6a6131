#!/bin/sh
# Runs the cases of this folder on a real two-node Slurm on this machine (slurm/cluster.sh).
#
#   sh tests/cluster/run.sh path/to/lockstep [CASE-PATTERN]
#
# A case is a shell function case_*, run in a subshell with `set -e`; its file says what it needs.
# A line a case, then `cluster: N passed, N failed, N skipped`. Where namespaces are not allowed,
# only the cases that need no Slurm run, and the rest are skipped: a failure where CI=true.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
[ $# -ge 1 ] && [ -x "$1" ] ||
    { echo "tests/cluster/run.sh: expected the lockstep binary, found '${1:-}'" >&2; exit 2; }
lockstep=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
pattern=${2:-*}
passed=0 failed=0 skipped=0 running=''
case_seconds=300

# Short (sockets live in it) and visible to both nodes.
work=$(mktemp -d /tmp/lockstep-test.XXXXXX)
data=$work/data
cluster_options="--dir $work/cluster"
cluster="sh $repository/slurm/cluster.sh"

finish() {
    code=$?
    trap - EXIT INT TERM HUP
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    clear_cluster
    # shellcheck disable=SC2086 # lists of words
    $cluster down $cluster_options >/dev/null || true
    rm -rf "$work"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

. "$here/lib.sh"

skip_case() { # NAME WHY
    if [ "${CI:-}" = true ]; then
        failed=$((failed + 1))
        echo "FAIL: $1: skipped, which CI does not allow: $2"
    else
        skipped=$((skipped + 1))
        echo "skipped: $1: $2"
    fi
}

# A case that failed leaves jobs and processes behind that the next one must not meet.
clear_cluster() {
    # Only on our own cluster: until it is up, squeue would speak to somebody else's.
    if [ "${SLURM_CONF:-}" = "$work/cluster/slurm.conf" ]; then
        for job in $(squeue -h -o %A); do
            scancel --signal=KILL --full "$job" 2>/dev/null || true
            scancel "$job" 2>/dev/null || true
        done
        left=100
        while [ -n "$(squeue -h)" ] && [ $left -gt 0 ]; do
            left=$((left - 1))
            sleep 0.2
        done
    fi
    for link in /proc/[0-9]*/exe; do
        process=${link#/proc/}
        process=${process%/exe}
        case $(readlink "/proc/$process/cwd" 2>/dev/null) in "$work"/cases/*) ;; *) continue ;; esac
        [ "$(readlink "$link")" != "$(readlink -f "$lockstep")" ] || kill -KILL "$process" 2>/dev/null || true
    done
}

run_case() { # NAME
    log=$work/log/$1.txt
    began=$(date +%s)
    mkdir -p "$work/log" "$work/cases/$1"
    set +e
    (set -e; trap - EXIT INT TERM HUP; cd "$work/cases/$1"; "case_$1") >"$log" 2>&1 </dev/null &
    running=$!
    # In the background, so that neither a hang nor a signal to this shell waits for it.
    left=$((case_seconds * 5))
    while ! ended $running && [ $left -gt 0 ]; do
        left=$((left - 1))
        sleep 0.2
    done
    if [ $left -eq 0 ]; then
        echo "** it hangs: not at its end after $case_seconds s" >>"$log"
        kill -KILL $running
    fi
    wait $running
    code=$?
    running=''
    set -e
    clear_cluster
    case $code in
    0)
        passed=$((passed + 1))
        echo "ok: $1 ($(($(date +%s) - began)) s)"
        ;;
    77) skip_case "$1" "$(tail -n 1 "$log")" ;;
    *)
        failed=$((failed + 1))
        echo "FAIL: $1"
        tail -n 40 "$log" | sed 's/^/    /'
        ;;
    esac
}

run_file() { # FILE [WHY-NOT]
    # The cases are the functions that the file defines, in its order.
    . "$here/$1"
    for name in $(sed -n 's/^case_\([a-z0-9_]*\)() *{.*/\1/p' "$here/$1"); do
        # shellcheck disable=SC2254 # a pattern on purpose
        case $name in $pattern) ;; *) continue ;; esac
        if [ -n "${2:-}" ]; then skip_case "$name" "$2"; else run_case "$name"; fi
    done
}

"$lockstep" pack synthetic "$data" --images 1000 --test-images 300 --seed 1 >"$work/pack.txt" 2>&1 || {
    sed 's/^/    /' "$work/pack.txt"
    echo "FAIL: no data set to test with"
    echo "cluster: 0 passed, 1 failed, 0 skipped"
    exit 1
}

# What needs no cluster first, then what starts clusters of its own, then the cases on ours.
run_file alone.sh
no_cluster=''
# shellcheck disable=SC2086 # lists of words
if message=$($cluster up $cluster_options --oversubscribe-cpus 4 2>&1); then
    $cluster down $cluster_options >/dev/null
else
    code=$?
    [ $code -eq 3 ] || { echo "$message"; echo "FAIL: the cluster did not start"; echo "cluster: $passed passed, $((failed + 1)) failed, $skipped skipped"; exit 1; }
    no_cluster=$(echo "$message" | tail -n 1)
fi
run_file cluster.sh "$no_cluster"

if [ -z "$no_cluster" ]; then
    # shellcheck disable=SC2086 # lists of words
    $cluster up $cluster_options --oversubscribe-cpus 4 >/dev/null
    # shellcheck disable=SC2086
    eval "$($cluster env $cluster_options)"
fi
for file in scripts.sh launch.sh doctor.sh modes.sh refusals.sh death.sh; do
    run_file $file "$no_cluster"
done

echo "cluster: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
