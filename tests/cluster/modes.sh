# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# One global batch, one seed: however many ranks and whatever the mode, the same training up to
# the order of floating-point sums. A difference of a last place grows with the steps, by leaps where
# a ReLU or a pool's winner falls the other way, and a test loss has one state of the parameters in
# it, a training loss the mean over an epoch's: so each has a limit of its own, 5 to 20 times the most
# that runs showed.

follow_single() { # MODE SRUN-OPTION...
    mode=$1
    shift
    # 48 does not divide 1,000: the last batch of an epoch is short. One run of single serves all.
    single=$work/single
    [ -s "$single/summary.csv" ] ||
        $train --mode single --global-batch 48 --epochs 2 --results "$single" --threads 1 >/dev/null
    srun "$@" $train --mode "$mode" --global-batch 48 --epochs 2 --results run --oversubscribe --threads 1 >out.txt 2>&1
    while read -r column row within; do
        wanted=$(csv "$single/epochs.csv" $column $row)
        found=$(csv run/epochs.csv $column $row)
        echo "$mode $column $row: $found, single: $wanted"
        holds "abs($found - $wanted) < $within * $wanted"
    done <<LIMITS
train_loss 1 1e-4
test_loss 1 1e-3
train_loss 2 3e-3
test_loss 2 3e-2
LIMITS
    expect images "$(csv run/epochs.csv images all | tr '\n' ' ')" "1000 1000 "
}

case_ddp_follows_single_on_two_nodes() { follow_single ddp -N2 -n2; }
case_dp_follows_single_on_two_nodes() { follow_single dp -N2 -n2; }
case_ddp_follows_single_with_four_ranks() { follow_single ddp -N2 -n4; }
case_dp_follows_single_with_three_ranks() { follow_single dp -N2 -n3; }

# 64 steps, the 32nd and the 64th of 8 images. Nodes whose ranks follow each other hold subtrees of
# the lanes; with ranks dealt out in turn the sum goes another way.
case_strict_has_the_same_bits_on_two_nodes() {
    strict="--strict --strict-cost off --lanes 4 --global-batch 32 --epochs 2 --seed 5 --oversubscribe --threads 1"
    $train --mode single $strict --results one >/dev/null
    expect steps "$(csv one/summary.csv steps)" 64
    number=0
    for place in "-N2 -n2" "-N2 -n4" "-N2 -n4 -m cyclic"; do
        number=$((number + 1))
        srun $place $train --mode ddp $strict --results run$number >/dev/null
        for column in parameters_hash final_train_loss final_test_loss; do
            expect "$column with srun $place" "$(csv run$number/summary.csv $column)" "$(csv one/summary.csv $column)"
        done
    done
}

# The sharded modes over both nodes, and inside each node (hybrid), where ranks follow each other and where they are
# dealt out in turn: 32 steps in the bits of single.
case_sharded_modes_have_the_same_bits_on_two_nodes() {
    strict="--strict --lanes 4 --global-batch 32 --epochs 1 --seed 5 --oversubscribe --threads 1"
    $train --mode single $strict --strict-cost off --results one >/dev/null
    number=0
    while read -r place mode; do
        number=$((number + 1))
        # The last one measures what strictness costs, as runs do by themselves: its mode is then opened twice.
        cost='--strict-cost off'
        [ $number -lt 5 ] || cost=''
        srun -N2 $(echo "$place" | tr , ' ') $train --mode $mode $strict $cost --results run$number >/dev/null </dev/null
        for column in parameters_hash certificate_hash final_train_loss final_test_loss; do
            expect "$column of $mode with srun $place" "$(csv run$number/summary.csv $column)" "$(csv one/summary.csv $column)"
        done
    done <<MODES
-n2 zero1
-n4 zero2
-n4 fsdp
-n4,--ntasks-per-node=2 fsdp --shard-within node
-n4,--ntasks-per-node=2,-m,cyclic zero1 --shard-within node
MODES
    expect "ranks of a group" "$(csv run4/summary.csv shard_ranks)" 2
    # Not strict, parameters come beside the next forward. A sum of two has one order.
    plain="--global-batch 32 --epochs 1 --seed 5 --threads 1 --bucket-mb 1"
    srun -N2 -n2 $train --mode ddp $plain --factor-comm off --results plain >/dev/null
    srun -N2 -n2 $train --mode zero2 $plain --results late >/dev/null
    for column in parameters_hash certificate_hash final_train_loss final_test_loss; do
        expect "$column of zero2, not strict" "$(csv late/summary.csv $column)" "$(csv plain/summary.csv $column)"
    done
}

# Same seed, same ranks, same threads: the same numbers to the last digit.
case_same_seed_same_numbers() {
    for run in first second; do
        srun -N2 -n2 $train --mode ddp --batch-per-rank 64 --epochs 1 --results $run >/dev/null
        csv $run/epochs.csv train_loss >$run.txt
        csv $run/epochs.csv test_loss >>$run.txt
    done
    cmp first.txt second.txt
}
