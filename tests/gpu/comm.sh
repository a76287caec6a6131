# shellcheck shell=sh
# Collectives on the device's memory: nccl on one rank, mpi through pinned memory on 1, 2 and 4
# ranks of the one GPU. All sums are of numbers whose result is exactly known.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"
have_mpirun || { skip "collectives" "no mpirun"; exit 0; }

test=$(program test_comm)
if [ "$device" = cuda ]; then
    # shellcheck disable=SC2046 # the launcher is a list of words
    run_tap "nccl on 1 rank" $(start_ranks 1) "$test" cuda/nccl
    kind=cuda/mpi
else
    skip "nccl on 1 rank" "NCCL needs a GPU"
    kind=host
fi
for ranks in 1 2 4; do
    # shellcheck disable=SC2046
    run_tap "$kind on $ranks" $(start_ranks $ranks) "$test" $kind
done
