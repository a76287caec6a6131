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

# The job script of the three modes also runs where there is no Slurm; a run that fails in the middle
# loses the others nothing.
case_speedup_without_slurm() {
    cat >flaky <<END
#!/bin/sh
case " \$* " in *-ddp-weak-2\ *) exit 7 ;; esac
exec "$lockstep" "\$@"
END
    chmod +x flaky
    code=0
    small_images
    LOCKSTEP=$PWD/flaky LOCKSTEP_DATA=$work/small LOCKSTEP_EPOCHS=1 LOCKSTEP_REPEATS=2 LOCKSTEP_DEVICE=cpu \
        sh "$repository/slurm/speedup.sbatch" >out.txt 2>&1 || code=$?
    [ $code = 7 ] || { cat out.txt; fail "exit code $code, expected that of the run that failed"; }
    expect runs "$(ls results/*/summary.csv | wc -l)" 9
    expect_lines out.txt 1 '^speedup.sbatch: failed, and not in the tables: ddp-weak-2 \(exit code 7\)'
    [ "$(nproc)" -ge 2 ] || return 0 # no table
    # After the first runs of each, and at the end.
    expect_lines out.txt 2 '^Weak scaling in the batch: 64 images a rank in every run'
    expect_lines out.txt 2 '^Strong scaling: the global batch is 64 in every run'
    expect_one_line out.txt 'ddp-weak-1: 1 repeat where the baseline'
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
