# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# Ranks and jobs that die in the middle of a step: the job ends within 30 s and says who and
# where, with no help from `srun -K`.

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
    # Open MPI writes its line about the closed connection in pieces, and ours may come between them.
    sed -i 's/\(.\)lockstep: /\1\n&/; s/\n.lockstep: /\nlockstep: /' out.txt
    cat out.txt
    echo "the step ended $took s after, with $code"
    holds "$code != 0"
    expect_lines out.txt 1 '^lockstep: '
    expect_lines out.txt 1 "^lockstep: .*rank $victim.*$host.*step [0-9]+"
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

# Told to end with checkpoints, and cancelled: the state is saved, and nothing is requeued.
case_scancel_with_checkpoints() {
    job=$(LOCKSTEP_CHECKPOINT=1000000 LOCKSTEP_EPOCHS=10000 submit ddp)
    wait_state "$job" 20 RUNNING
    wait_training "results/$job-ddp" 60
    scancel "$job"
    wait_state "$job" 40 CANCELLED
    expect_nothing_left
    "$lockstep" checkpoint verify "results/$job-ddp/checkpoints/$(cat "results/$job-ddp/checkpoints/last")"
    expect_lines "slurm-$job.out" 1 '^stopped  by SIGTERM'
    expect restarts "$(job_field "$job" Restarts)" 0
}

# Three interruptions in one run, and the bits of a run that had none: a preemption, which requeues the
# job itself; an administrator's requeue; the warning before a time limit, where the script does it.
case_interrupted_three_times() {
    export LOCKSTEP_EPOCHS=10 LOCKSTEP_ARGS='--strict --strict-cost off --seed 1 --certificate-every 5'
    whole=$(submit ddp)
    expect_job "$whole" 150 COMPLETED 0:0
    job=$(LOCKSTEP_CHECKPOINT=1000000 submit ddp)
    for interruption in preemption requeue warning; do
        wait_state "$job" 60 RUNNING
        seen=$(rows "results/$job-ddp/epochs.csv" 2>/dev/null || echo 0)
        wait_training "results/$job-ddp" 60 $((seen + 1))
        case $interruption in
        preemption) sbatch --parsable -p urgent -N 2 --gres=gpu:1 --output=/dev/null --wrap 'true' ;;
        requeue) scontrol requeue "$job" ;;
        warning) scancel --batch --signal=USR1 "$job" ;;
        esac
        begin_again "$job"
    done
    expect_job "$job" 150 COMPLETED 0:0
    cat "slurm-$job.out"
    expect restarts "$(job_field "$job" Restarts)" 3
    expect attempts "$(csv "results/$job-ddp/summary.csv" attempts)" 4
    expect_lines "slurm-$job.out" 3 '^stopped  by '
    expect "why they ended" "$(csv "results/$job-ddp/attempts.csv" ended all | tr '\n' ' ')" 'SIGTERM SIGTERM SIGUSR1 finished '
    for seconds in $(csv "results/$job-ddp/attempts.csv" queue_seconds all); do holds "$seconds >= 0"; done
    expect "lost steps" "$(csv "results/$job-ddp/summary.csv" lost_steps)" 0
    for column in parameters_hash certificate_hash; do
        expect $column "$(csv "results/$job-ddp/summary.csv" $column)" "$(csv "results/$whole-ddp/summary.csv" $column)"
    done
}

# A rank that is killed: the job goes on from the newest checkpoint, and ends with the bits of a whole run.
case_restarted_in_the_same_job() {
    export LOCKSTEP_EPOCHS=5 LOCKSTEP_ARGS='--strict --strict-cost off --seed 1 --certificate-every 5'
    whole=$(submit ddp)
    expect_job "$whole" 150 COMPLETED 0:0
    job=$(LOCKSTEP_CHECKPOINT=2 submit ddp)
    wait_state "$job" 60 RUNNING
    wait_training "results/$job-ddp" 60
    kill -KILL "$(process_of_rank 1)"
    expect_job "$job" 150 COMPLETED 0:0
    cat "slurm-$job.out"
    expect_lines "slurm-$job.out" 1 '^lockstep: rank 1 .*died'
    expect_lines "slurm-$job.out" 1 '^== ddp.sbatch: exit code .* goes on from step-.*[(]restart 1[)]'
    expect restarts "$(job_field "$job" Restarts)" 0
    expect attempts "$(csv "results/$job-ddp/summary.csv" attempts)" 2
    expect "why they ended" "$(csv "results/$job-ddp/attempts.csv" ended all | tr '\n' ' ')" 'failure finished '
    for column in parameters_hash certificate_hash; do
        expect $column "$(csv "results/$job-ddp/summary.csv" $column)" "$(csv "results/$whole-ddp/summary.csv" $column)"
    done
}

slurmd_of() { # NODE -> pid, seen from outside the nodes
    for command in /proc/[0-9]*/cmdline; do
        tr '\0' ' ' <"$command" 2>/dev/null | grep -q -E "^[^ ]*slurmd -D -N $1 -f $work/" || continue
        candidate=${command#/proc/}
        echo "${candidate%/cmdline}"
        return
    done
    fail "no slurmd of $1"
}

# The daemon of a node stops, and the node does not: what runs there needs nothing of it, saves, and ends; the job does
# when the daemon is back.
case_slurmd_that_stops() {
    job=$(LOCKSTEP_CHECKPOINT=2 LOCKSTEP_EPOCHS=4 submit ddp)
    wait_state "$job" 60 RUNNING
    wait_training "results/$job-ddp" 60
    daemon=$(slurmd_of node2)
    kill -STOP "$daemon"
    wait_training "results/$job-ddp" 120 4
    left=300
    until [ -e "results/$job-ddp/summary.csv" ] || [ $left = 0 ]; do
        left=$((left - 1))
        sleep 0.1
    done
    kill -CONT "$daemon"
    [ $left -gt 0 ] || fail "the run did not end while slurmd was stopped"
    expect_job "$job" 120 COMPLETED 0:0
    expect attempts "$(csv "results/$job-ddp/summary.csv" attempts)" 1
    "$lockstep" checkpoint verify "results/$job-ddp/checkpoints/last"
    expect_nothing_left results
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
