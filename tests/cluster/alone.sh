# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# Without Slurm: one process by hand, and mpirun.

mpirun="mpirun --allow-run-as-root --oversubscribe --bind-to none"

case_by_hand() {
    $train --mode single --batch-per-rank 64 --epochs 1 --results run >out.txt
    expect ranks "$(csv run/summary.csv ranks)" 1
    expect images "$(csv run/epochs.csv images)" 1000
    expect_nothing_left run
}

case_mpirun() {
    $mpirun -n 2 $train --mode ddp --batch-per-rank 64 --epochs 1 --results run --oversubscribe >out.txt
    expect ranks "$(csv run/summary.csv ranks)" 2
    expect nodes "$(csv run/summary.csv nodes)" 1
    expect images "$(csv run/epochs.csv images)" 1000
    expect launcher "$(csv run/summary.csv launcher)" mpirun
    expect_nothing_left run
}

# The job script of the three modes also runs where there is no Slurm.
case_speedup_without_slurm() {
    LOCKSTEP=$lockstep LOCKSTEP_DATA=$data LOCKSTEP_EPOCHS=1 LOCKSTEP_DEVICE=cpu \
        sh "$repository/slurm/speedup.sbatch" >out.txt 2>&1 || { cat out.txt; fail "it failed"; }
    expect runs "$(ls results/*/summary.csv | wc -l)" 5
}

case_mpirun_kill() {
    $mpirun -n 2 $train --mode ddp --batch-per-rank 64 --epochs 1000 --results run --oversubscribe >out.txt 2>&1 &
    launcher=$!
    wait_training run 60
    kill -KILL "$(process_of_rank 1)"
    await $launcher 30
    holds "$code != 0"
    cat out.txt
    grep -q -E '^lockstep: .*rank 1' out.txt || fail "no line names rank 1"
    expect_nothing_left run
}
