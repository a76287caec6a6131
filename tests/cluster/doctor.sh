# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# `lockstep doctor` under Slurm: nothing where all is well, and faults that only Slurm can have.
# What needs no Slurm is in tests/doctor.

# The level of a check, and what it says, in a file of its lines.
expect_finding() { # FILE LEVEL CHECK PATTERN-OF-WHAT-WAS-FOUND PATTERN-OF-THE-MEND
    expect_lines "$1" 1 "^$2 +$3 +.*($4)"
    grep -A 1 -E "^$2 +$3 " "$1" | tail -n 1 | grep -q -E "^ .*($5)" ||
        { cat "$1"; fail "no line '$5' below $3"; }
}

# A warning that the cores are busy is the machine's truth, no fault of the launch.
case_doctor_finds_nothing() {
    began=$(date +%s%N)
    srun --mpi=pmix -N2 -n2 $lockstep doctor --data $data --results $PWD/run --device cpu >out.txt
    took=$((($(date +%s%N) - began) / 1000000))
    cat out.txt
    echo "$took ms"
    [ $took -lt 5000 ] || fail "it took $took ms"
    expect_lines out.txt 0 '^failure'
    [ "$(grep -v -E '^warning +load ' out.txt | grep -c '^warning')" = 0 ] || fail "a warning"
    expect_lines out.txt 1 '^ok +pmix +.* from srun; srun --mpi=list: .*pmix'
    expect_lines out.txt 1 '^ok +ranks +2 ranks on 2 nodes; Slurm, PMIx and MPI say the same'
    expect_lines out.txt 1 '^ok +network +eth0'
    expect_lines out.txt 1 '^ok +clocks '
    [ ! -e run ] || fail "it made a folder"
}

case_doctor_without_pmix() {
    for kind in none pmi2; do
        expect_exit 3 out.txt srun --mpi=$kind -N2 -n2 $lockstep doctor
        expect_finding out.txt failure pmix 'srun started 2 tasks without PMIx' 'srun --mpi=pmix'
        expect_lines out.txt 1 '^lockstep '
    done
}

case_doctor_in_the_environment_of_another_step() {
    expect_exit 3 out.txt srun -N2 -n2 sh -c "SLURM_STEP_NUM_TASKS=7 exec $lockstep doctor"
    expect_finding out.txt failure ranks 'SLURM_STEP_NUM_TASKS is 7, but PMIx says' 'env -u SLURM_PROCID'
}

case_doctor_on_unequal_nodes() {
    expect_exit 0 out.txt srun -N2 -n3 $lockstep doctor --device cpu --oversubscribe --threads 1
    expect_finding out.txt warning ranks 'host node1 has 2 ranks, host node2 has 1' '#SBATCH --ntasks-per-node=2'
}

# Granted, and there is no device behind it.
case_doctor_without_the_gpu() {
    expect_exit 3 out.txt srun --gres=gpu:1 -N2 -n2 $lockstep doctor
    expect_finding out.txt failure gpu 'granted' '#SBATCH --gres=gpu:1'
    # The job scripts' way around it.
    expect_exit 0 out.txt srun --gres=gpu:1 -N2 -n2 $lockstep doctor --device cpu
}

case_doctor_of_two_ranks_on_a_core() {
    [ "$(srun -N1 -n1 nproc)" = 1 ] || skip "the nodes have more than one core"
    expect_exit 3 out.txt srun -N1 -n2 $lockstep doctor
    expect_finding out.txt failure cores 'ranks 0 and 1 would stand on one core' '#SBATCH --cpus-per-task=1'
}
