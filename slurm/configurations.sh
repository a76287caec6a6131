# shellcheck shell=sh disable=SC2034,SC2154,SC2086
# A job of several runs: one rank, one node, all nodes but LOCKSTEP_SPARE_NODES, LOCKSTEP_REPEATS (1)
# times each, and their tables. Sourced after job.sh. The script sets `saves` (for --checkpoint-every, or
# empty), defines `launch SRUN-OPTION...`, which trains in mode `mode` into `run` beside itself, and
# calls `begin_runs`, `train_all`, `print_epochs` where each epoch is to
# be shown, and `print_tables`, with which the job ends.
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
train_all() {
    configurations=$((1 + (on_a_node > 1) + (nodes > 1))) repeat=0
    while [ $repeat -lt "$repeats" ]; do
        repeat=$((repeat + 1))
        train one-rank 1 1 single
        [ $on_a_node -le 1 ] || train one-node 1 $on_a_node ddp
        [ $nodes -le 1 ] || train "$nodes-nodes" $nodes "$ranks" ddp
    done
}

print_epochs() {
    echo
    echo "== loss, accuracy, throughput and memory of each epoch"
    set --
    for name in $finished; do set -- "$@" "$results/$job-$name"; done
    "$lockstep" report "$@" --table epochs || { code=$?; [ "$exit_code" -ne 0 ] || exit_code=$code; }
}

print_tables() {
    echo
    echo "== what $repeats run(s) of each configuration say"
    set --
    for name in $finished; do set -- "$@" "$results/$job-$name"; done
    "$lockstep" report "$@" ${LOCKSTEP_REPORT_ARGS:-} || { code=$?; [ "$exit_code" -ne 0 ] || exit_code=$code; }
    if [ -n "$failed" ]; then
        echo "$script.sbatch: failed, and not in the tables:${failed%;}" >&2
        for name in $given_up; do
            echo "$script.sbatch: $name was refused, so its other repeats were not tried" >&2
        done
    fi
    exit "$exit_code"
}
