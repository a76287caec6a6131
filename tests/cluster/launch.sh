# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# How ranks are started: right launches, wrong ones.

case_srun_without_pmix() {
    expect_exit 3 out.txt srun --mpi=none -N2 -n2 $train --mode ddp --batch-per-rank 64 --epochs 1 --results run
    expect_one_line out.txt 'mpi=pmix'
    [ ! -e run ] || fail "it left a run folder"
}

# A rank whose program does not begin: MPI_Init would wait for it for ever.
case_rank_that_does_not_arrive() {
    cat >late.sh <<'END'
#!/bin/sh
[ "$SLURM_PROCID" != 1 ] || kill -STOP $$
exec "$@"
END
    chmod +x late.sh
    LOCKSTEP_START_SECONDS=2 expect_exit 3 out.txt srun --kill-on-bad-exit=0 --no-kill -N2 -n2 ./late.sh \
        $train --mode ddp --batch-per-rank 64 --epochs 1 --results run
    expect_one_line out.txt '1 of 2 ranks did not arrive within 2 s: rank 1 \(host node2\)'
    [ ! -e run ] || fail "it left a run folder"
}

case_srun_of_one_task_without_pmix() {
    srun --mpi=none -N1 -n1 $train --mode single --batch-per-rank 64 --epochs 1 --results run >out.txt
    expect ranks "$(csv run/summary.csv ranks)" 1
}

# One core a node, two ranks on it.
case_two_ranks_one_core() {
    [ "$(srun -N1 -n1 nproc)" = 1 ] || skip "the nodes have more than one core"
    expect_exit 3 out.txt srun -N1 -n2 $train --mode ddp --batch-per-rank 64 --epochs 1 --results run
    expect_one_line out.txt oversubscribe
    srun -N1 -n2 $train --mode ddp --batch-per-rank 64 --epochs 1 --results run --oversubscribe >out.txt
    expect ranks "$(csv run/summary.csv ranks)" 2
    expect nodes "$(csv run/summary.csv nodes)" 1
    expect oversubscribed "$(csv run/summary.csv oversubscribed)" 1
}

case_options_that_differ_between_ranks() {
    echo "0 $train --mode ddp --batch-per-rank 64 --epochs 1 --results run" >programs.txt
    echo "1 $train --mode ddp --batch-per-rank 64 --epochs 2 --results run" >>programs.txt
    expect_exit 2 out.txt srun -N2 -n2 --multi-prog programs.txt
    expect_one_line out.txt 'rank 1'
    expect_one_line out.txt epochs
    [ ! -e run/summary.csv ] || fail "it left a summary"
}

case_data_that_differ_between_ranks() {
    $lockstep pack synthetic other --images 1000 --test-images 300 --seed 2 >/dev/null
    other=$(echo "$train" | sed "s|--data $data|--data $PWD/other|")
    echo "0 $train --mode ddp --batch-per-rank 64 --epochs 1 --results run" >programs.txt
    echo "1 $other --mode ddp --batch-per-rank 64 --epochs 1 --results run" >>programs.txt
    expect_exit 2 out.txt srun -N2 -n2 --multi-prog programs.txt
    expect_one_line out.txt 'rank 1'
}

# Two programs in one step: Slurm 22's PMIx server knows each task's client once, and the line says so,
# once; Slurm 24's (with PMIx 5) serves the second as it did the first.
case_two_programs_in_one_step() {
    cat >both.sh <<END
#!/bin/sh
$lockstep doctor >doctor-\$SLURM_PROCID.txt 2>&1
exec $train --mode ddp --batch-per-rank 64 --epochs 1 --results run
END
    chmod +x both.sh
    code=0
    timeout -k 5 60 srun -N2 -n2 ./both.sh >out.txt 2>&1 || code=$?
    grep -q 'ok  *pmix' doctor-0.txt || { cat doctor-0.txt; fail "the first program is in order"; }
    if [ $code -eq 0 ]; then
        expect "ranks and nodes" "$(csv run/summary.csv ranks) $(csv run/summary.csv nodes)" "2 2"
        return
    fi
    expect "exit code" $code 3
    expect_one_line out.txt 'each program its own srun'
    [ ! -e run ] || fail "it left a run folder"
    sed -i 's/exec .*/exec '"$(echo "$lockstep" | sed 's|/|\\/|g')"' doctor/' both.sh
    expect_exit 3 out.txt srun -N2 -n2 ./both.sh
    expect_lines out.txt 1 'own srun'
    expect_lines out.txt 1 'srun lockstep doctor; srun lockstep train'
}
