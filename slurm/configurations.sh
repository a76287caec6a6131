# shellcheck shell=sh disable=SC2034,SC2154,SC2086
# A job of several runs, LOCKSTEP_REPEATS (1) times each, and their tables. Sourced after job.sh. The
# script sets `saves` (for --checkpoint-every, or empty), defines `launch SRUN-OPTION...`, which trains in
# mode `mode` into `run` beside itself, and calls `begin_runs` and
#   train_all      one rank, one node, all nodes but LOCKSTEP_SPARE_NODES; `train_all down`: all nodes first
#   train          or its own list of them (it sets `configurations` before, and `repeat`)
#   print_epochs   where each epoch is to be shown
#   print_modes    a table and pictures of runs that need have nothing in common, beside what was published
#   differs        once for each setting of the published experiment: a line where ours is another
#   print_tables   speedups over one rank, or, without them,
#   finish         with either of which the job ends
job=${LOCKSTEP_RUN:-$SLURM_JOB_ID} # whose runs these are
repeats=${LOCKSTEP_REPEATS:-1}
is_count "$repeats" || refuse "LOCKSTEP_REPEATS: expected a number above 0, found '$repeats'"
on_a_node=$((ranks / nodes))

number=0 finished='' failed='' given_up='' exit_code=0
train() { # NAME NODES RANKS MODE
    number=$((number + 1)) mode=$4
    run=$results/$job-$1-$repeat
    case " $given_up " in *" $1 "*) return ;; esac
    echo
    echo "== run $number of $((configurations * repeats)): $1, repeat $repeat of $repeats"
    if [ -f "$run/summary.csv" ] && { [ "$requeues" -gt 0 ] || [ -n "${LOCKSTEP_RUN:-}" ]; }; then
        echo "finished before: $run"
        finished="$finished $1-$repeat"
        return
    fi
    run_through "$2" "$3" "$run/checkpoints" "$run"
    case $code in
    0) finished="$finished $1-$repeat"; return ;;
    4) end_job "$job" ;;
    2 | 3) given_up="$given_up $1" ;;
    esac
    # Where the very first run fails, or the job is ended, nothing follows.
    [ $asked = 0 ] && [ "$code" -lt 128 ] && [ -n "$finished" ] || exit "$code"
    [ "$exit_code" -ne 0 ] || exit_code=$code
    failed="$failed $1-$repeat (exit code $code);"
}

# One rank is the baseline of the tables; where a node has more, the node is a configuration of its own.
train_one() { train one-rank 1 1 single; }
train_node() { [ $on_a_node -le 1 ] || train one-node 1 $on_a_node ddp; }
train_nodes() { [ $nodes -le 1 ] || train "$nodes-nodes" $nodes "$ranks" ddp; }
train_all() { # [down]
    configurations=$((1 + (on_a_node > 1) + (nodes > 1))) repeat=0
    while [ $repeat -lt "$repeats" ]; do
        repeat=$((repeat + 1))
        if [ "${1:-}" = down ]; then
            train_nodes; train_node; train_one
        else
            train_one; train_node; train_nodes
        fi
    done
}

# The options of a batch that is `auto`: what a run of this job has found (of those whose names begin
# with PREFIX), so that repeats and comparisons have the same; else that it be found.
batch_found() { # BATCH-PER-RANK [PREFIX]
    case $1 in
    auto*)
        for name in $finished; do
            case $name in "${2:-}"*) ;; *) continue ;; esac
            batch=$(sed -n 's/^batch found .*; again: \(--batch-per-rank [0-9]*\)$/\1/p' "$results/$job-$name/log.txt" | head -n 1)
            [ -z "$batch" ] || { echo "$batch"; return; }
        done
        ;;
    esac
    echo "--batch-per-rank $1"
}

print_epochs() {
    echo
    echo "== loss, accuracy, throughput and memory of each epoch"
    set --
    for name in $finished; do set -- "$@" "$results/$job-$name"; done
    "$lockstep" report "$@" --table epochs || { code=$?; [ "$exit_code" -ne 0 ] || exit_code=$code; }
}

# Of runs whose names begin with PREFIX (all of them without).
print_modes() { # PUBLISHED [PREFIX]
    echo
    echo "== throughput, memory, loss and accuracy beside what was published"
    published=$1 prefix=${2:-}
    set --
    for name in $finished; do case $name in "$prefix"*) set -- "$@" "$results/$job-$name" ;; esac; done
    pictures=$results/$job-pictures
    if command -v gnuplot >/dev/null; then set -- "$@" --plot "$pictures"; else pictures='none, for gnuplot is not installed here'; fi
    "$lockstep" report "$@" --table modes --published "$shared/published/$published.csv" ||
        { code=$?; [ "$exit_code" -ne 0 ] || exit_code=$code; }
    echo "pictures: $pictures"
}

differences=''
differs() { # WHAT PUBLISHED OURS
    [ "$2" = "$3" ] && return
    [ -n "$differences" ] || { echo; echo "== where this differs from the published setting"; }
    differences=yes
    echo "$1: published $2, here $3"
}

print_tables() {
    echo
    echo "== what $repeats run(s) of each configuration say"
    set --
    for name in $finished; do set -- "$@" "$results/$job-$name"; done
    "$lockstep" report "$@" ${LOCKSTEP_REPORT_ARGS:-} || { code=$?; [ "$exit_code" -ne 0 ] || exit_code=$code; }
    finish
}

finish() {
    if [ -n "$failed" ]; then
        echo "$script.sbatch: failed, and not in the tables:${failed%;}" >&2
        for name in $given_up; do
            echo "$script.sbatch: $name was refused, so its other repeats were not tried" >&2
        done
    fi
    exit "$exit_code"
}
