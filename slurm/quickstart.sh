#!/bin/sh
# From a fresh machine to a speedup table: installs what is missing, builds, makes a data set,
# finds a Slurm or starts one of two nodes on this machine, submits speedup.sbatch and follows it.
#
#   sh slurm/quickstart.sh [--data DIR] [--epochs N] [--repeats N] [--keep-cluster]
#
#   --data DIR        train on these shards (see data/README.md), 10 epochs, once a configuration;
#                     without it on 10,000 generated images, 1 epoch, 3 times
#   --epochs N        another number of epochs
#   --repeats N       another number of runs of each configuration
#   --keep-cluster    leave the cluster running if this script started it
#
# What it writes: build/, data/synthetic/, slurm-<jobid>.out and results/<jobid>-*. Exit codes:
# the job's, or 1 when a step before it failed, 2 bad use, 3 packages are missing (and how to
# install them), 130 and 143 when interrupted.
set -eu

started=$(date +%s)
caller=$PWD
cd "$(dirname "$0")/.."
data='' epochs='' repeats='' keep_cluster=no
own_cluster=no job='' following='' installing=''

say() { printf '[%3d s] %s\n' $(($(date +%s) - started)) "$*"; }
fail() { echo "quickstart.sh: $2" >&2; exit "$1"; }

while [ $# -gt 0 ]; do
    case $1 in
    --data | --epochs | --repeats)
        [ $# -ge 2 ] || fail 2 "$1: its value is missing"
        case $1 in --data) data=$2 ;; --epochs) epochs=$2 ;; --repeats) repeats=$2 ;; esac
        shift
        ;;
    --keep-cluster) keep_cluster=yes ;;
    --help) sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
    *) fail 2 "unknown option '$1' (expected --data DIR, --epochs N, --repeats N, --keep-cluster)" ;;
    esac
    shift
done
case $epochs in *[!0-9]* | 0*) fail 2 "--epochs: expected a number above 0, found '$epochs'" ;; esac
case $repeats in *[!0-9]* | 0*) fail 2 "--repeats: expected a number above 0, found '$repeats'" ;; esac
case $data in '' | /*) ;; *) data=$caller/$data ;; esac
[ -z "$data" ] || [ -d "$data" ] || fail 2 "--data: no folder '$data'"

clean_up() {
    code=$?
    trap - EXIT INT TERM HUP
    [ -z "$following" ] || kill "$following" 2>/dev/null || true
    # Packages are not left half installed.
    [ -z "$installing" ] || wait "$installing" || true
    if [ -n "$job" ]; then scancel "$job" 2>/dev/null || true; fi
    if [ "$own_cluster" = yes ]; then
        # shellcheck disable=SC2016 # for the reader's shell to expand
        if [ "$keep_cluster" = yes ] && [ $code -lt 128 ]; then
            say 'the cluster stays up: eval "$(sh slurm/cluster.sh env)"; sh slurm/cluster.sh down'
        else
            sh slurm/cluster.sh down >/dev/null
        fi
    fi
    exit $code
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- packages, program, data

packages() { # SET...
    code=0
    sh slurm/packages.sh "$@" || code=$?
    [ $code -ne 0 ] || return 0
    # Somebody else's cluster has its own way to a compiler and libraries (modules, say).
    [ $code -eq 3 ] && command -v meson >/dev/null || exit $code
    say "going on with what is installed"
}

say "packages"
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    packages compile
    say "build, and the other packages beside it"
    packages run cluster &
    installing=$!
else # all that is missing in one message
    packages build cluster
    say "build"
fi
[ -f build/build.ninja ] || meson setup build --buildtype=release >build.log 2>&1 ||
    { cat build.log >&2; rm -f build.log; fail 1 "meson could not set up the build"; }
rm -f build.log
meson compile -C build lockstep >build/compile.log 2>&1 ||
    { tail -n 40 build/compile.log >&2; fail 1 "the build failed (build/compile.log)"; }
lockstep=$PWD/build/lockstep
if [ -n "$installing" ]; then
    pid=$installing installing=''
    wait "$pid"
fi

if [ -z "$data" ]; then
    data=$PWD/data/synthetic
    : "${epochs:=1}" "${repeats:=3}"
    if [ -d "$data" ]; then
        say "data: checking data/synthetic"
        "$lockstep" pack --verify "$data"
    else
        say "data: generating 10,000 images"
        "$lockstep" pack synthetic "$data" --images 10000 --test-images 2000 --seed 1
    fi
fi

export LOCKSTEP="$lockstep" LOCKSTEP_DATA="$data" LOCKSTEP_EPOCHS="${epochs:-10}" LOCKSTEP_REPEATS="${repeats:-1}"

# ---- a Slurm: the one that answers, else our own

# Numbers after those that earlier clusters of ours gave to jobs, whose files are still here.
next_job_id() {
    for name in slurm-*.out results/*-*; do
        name=${name##*/}
        name=${name#slurm-}
        echo "${name%%[!0-9]*}"
    done | sort -n | awk '{ last = $1 } END { print last + 1 }'
}

slurm=none
if timeout 20 sinfo -h >/dev/null 2>&1; then
    slurm=found
    say "Slurm: using the one that answers"
elif sh slurm/cluster.sh env >/dev/null 2>&1; then
    slurm=found
    eval "$(sh slurm/cluster.sh env)"
    # Its GPUs exist on paper only.
    export LOCKSTEP_DEVICE="${LOCKSTEP_DEVICE:-cpu}"
    say "Slurm: using the two-node cluster on this machine, which is up"
else
    say "Slurm: none answers; starting one of two nodes on this machine"
    own_cluster=yes
    if sh slurm/cluster.sh up --first-job-id "$(next_job_id)"; then
        slurm=own
        eval "$(sh slurm/cluster.sh env)"
        export LOCKSTEP_DEVICE="${LOCKSTEP_DEVICE:-cpu}"
    else
        code=$?
        own_cluster=no
        [ $code -eq 3 ] || fail 1 "the cluster did not start"
        say "Slurm: not possible here, so mpirun starts the ranks: no nodes, no job files"
    fi
fi

if [ $slurm = none ]; then
    sh slurm/speedup.sbatch
    exit 0
fi

# ---- the job

job_field() { # NAME -> its value in scontrol's one-line record, empty when there is none
    scontrol show job -o "$job" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1
}

# A cluster without GPUs refuses a job that asks for one.
gres=''
sinfo -h -o %G | grep -q gpu || gres=--gres=none
submitted=$(sbatch --parsable $gres slurm/speedup.sbatch)
job=${submitted%%;*}
output=slurm-$job.out
say "job $job: slurm/speedup.sbatch; its output, $output, follows"
: >>"$output"
tail -n +1 -f "$output" &
following=$!

waiting_for='' misses=0
while :; do
    state=$(job_field JobState)
    case $state in
    RUNNING | COMPLETING) ;;
    PENDING | CONFIGURING)
        reason=$(job_field Reason)
        [ "$reason" = "$waiting_for" ] || [ "$reason" = None ] || say "job $job waits: $reason"
        waiting_for=$reason
        ;;
    '') # a controller too busy to answer is not an end
        misses=$((misses + 1))
        [ $misses -lt 30 ] || break
        ;;
    *) break ;;
    esac
    sleep 1
done
exit_code=$(job_field ExitCode)
sleep 1
kill "$following" 2>/dev/null || true
following=''
finished=$job
job=''

case $state in
COMPLETED) say "done: job $finished; $output and results/$finished-* keep it" ;;
*)
    echo "quickstart.sh: job $finished ended as ${state:-unknown} (see $output)" >&2
    code=${exit_code%%:*}
    exit "$((${code:-1} > 0 ? ${code:-1} : 1))"
    ;;
esac
