# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# Ranks and jobs that die in the middle of a step: the job ends within 30 s and says who and
# where, with no help from `srun -K`.

# Where a node has more ranks than cores, rank 0's lifeline may get no core in time. Then srun says it.
mpi_was_first() { grep -q 'pml_ob1_sendreq.c:[0-9]* FATAL' out.txt && ! grep -q '^lockstep: ' out.txt; }

kill_rank() { # RANK SRUN-OPTION...
    victim=$1
    shift
    srun --kill-on-bad-exit=0 "$@" $train --mode ddp --batch-per-rank 64 --epochs 10000 --results run --oversubscribe >out.txt 2>&1 &
    step=$!
    wait_training run 60
    process=$(process_of_rank "$victim")
    host=$(nsenter --target "$process" --uts hostname)
    kill -KILL "$process"
    await $step 30
    cat out.txt
    echo "the step ended $took s after, with $code"
    holds "$code != 0"
    if mpi_was_first; then
        echo "Open MPI met the dead rank in a send and had the step ended before a lifeline could"
        expect_lines out.txt 1 "^srun: error: $host: task $victim: Killed"
    else
        expect_lines out.txt 1 '^lockstep: '
        expect_lines out.txt 1 "^lockstep: .*rank $victim.*$host.*step [0-9]+"
    fi
    expect_nothing_left run
    [ ! -e run/summary.csv ] || fail "a run that died has a summary"
}

case_kill_rank_1_of_another_node() { kill_rank 1 -N2 -n2; }
case_kill_rank_0_of_another_node() { kill_rank 0 -N2 -n2; }
case_kill_rank_1_of_the_same_node() { kill_rank 1 -N1 -n2; }
case_kill_rank_0_of_the_same_node() { kill_rank 0 -N1 -n2; }
case_kill_rank_3_of_four() { kill_rank 3 -N2 -n4; }

# SIGTERM to the steps of a job, as scancel sends it: one line, exit code 143.
case_sigterm_in_mid_run() {
    job=$(LOCKSTEP_EPOCHS=10000 submit ddp)
    wait_state "$job" 20 RUNNING
    wait_training "results/$job-ddp" 60
    scancel --signal=TERM "$job"
    expect_job "$job" 30 FAILED 143:0
    expect_one_line "slurm-$job.out" SIGTERM
    expect_nothing_left results
}

case_scancel_in_mid_run() {
    job=$(LOCKSTEP_EPOCHS=10000 submit dp)
    wait_state "$job" 20 RUNNING
    wait_training "results/$job-dp" 60
    scancel "$job"
    wait_state "$job" 40 CANCELLED
    expect_nothing_left results
    expect_lines "slurm-$job.out" 1 '^lockstep: .*SIGTERM'
}

# Slurm's warning before the time limit, which it checks twice a minute.
case_time_limit_with_signal() {
    job=$(LOCKSTEP_EPOCHS=10000 submit --time=1 --signal=TERM@50 ddp)
    wait_state "$job" 20 RUNNING
    expect_job "$job" 90 FAILED 143:0
    expect_one_line "slurm-$job.out" SIGTERM
    expect_nothing_left results
}

# Stopped, a rank keeps its sockets open: only its silence tells, of 6 s here instead of 20.
case_rank_that_falls_silent() {
    LOCKSTEP_SILENCE_SECONDS=6 srun --kill-on-bad-exit=0 --no-kill -N2 -n2 $train --mode ddp --batch-per-rank 64 --epochs 10000 --results run >out.txt 2>&1 &
    step=$!
    wait_training run 60
    stopped=$(process_of_rank 1)
    kill -STOP "$stopped"
    await $step 30
    kill -KILL "$stopped" 2>/dev/null || true
    cat out.txt
    holds "$code != 0"
    expect_lines out.txt 1 '^lockstep: .*rank 1 .* has not answered for 6 s'
}
