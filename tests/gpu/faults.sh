# shellcheck shell=sh
# Faults that one GPU can show: each ends with one line, its exit code, and no hang.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

data=$(data_of "$(quickly 640 640 8)" "$(quickly 64 64 4)")
refused() { # WHAT CODE PATTERN RANKS OPTION...
    what=$1 want=$2 pattern=$3
    shift 3
    train refused "$@"
    code=$?
    if [ $code -ne "$want" ]; then
        fail "$what: exit code $want" "found $code" "$(grep '^lockstep: ' refused.log | head -n 3)"
    elif [ "$(grep -c '^lockstep: ' refused.log)" -ne 1 ]; then
        fail "$what: one line" "$(grep -c '^lockstep: ' refused.log) of them"
    elif ! grep -Eq "^lockstep: .*($pattern)" refused.log; then
        fail "$what: a line that says '$pattern'" "$(grep '^lockstep: ' refused.log)"
    else
        pass "$what: one line, exit code $want"
    fi
}
granted=${CUDA_VISIBLE_DEVICES-unset}
export CUDA_VISIBLE_DEVICES=''
# Tried on another device, this may be a build without CUDA, which says so.
none='GPU|driver'
[ "$device" = cuda ] || none="$none|this build has no CUDA"
refused "--device cuda without a visible GPU" 3 "$none" 0 --device cuda --data "$data"
export CUDA_VISIBLE_DEVICES=99
refused "--device auto with a GPU that was granted and is not there" 3 'GPU|driver' 0 --device auto --data "$data"
if [ "$granted" = unset ]; then unset CUDA_VISIBLE_DEVICES; else export CUDA_VISIBLE_DEVICES="$granted"; fi

have_mpirun || { skip "faults of several ranks" "no mpirun"; exit 0; }
many="--threads 1 --oversubscribe --mode ddp --data $data"
# shellcheck disable=SC2086,SC2046
if [ "$device" = cuda ]; then
    refused "two ranks, one GPU, no --share-gpu" 3 'share-gpu' 2 --device cuda $many
    refused "two ranks on one GPU with --comm nccl" 3 'gpu-bind|gres' 2 --device cuda $many --share-gpu --comm nccl
else
    skip "two ranks, one GPU, no --share-gpu" "needs a GPU"
    refused "--comm nccl on $device" 3 'nccl' 2 --device "$device" $many --comm nccl
fi

# A rank is killed in mid-training.
# shellcheck disable=SC2016 # for the ranks' shell
keep_pid='echo $$ >"pid.$OMPI_COMM_WORLD_RANK"; exec "$@"'
rm -rf killed pid.*
# shellcheck disable=SC2046,SC2086
limit 50 $(start_ranks 2) sh -c "$keep_pid" sh "$lockstep" train --device "$device" --mode ddp --data "$data" \
    $(sharing) --epochs 100000 --results "$GPU_WORK/killed" >killed.log 2>&1 </dev/null &
job=$!
waited=0
until grep -Eq '^ +1 ' killed.log || [ $waited -ge 25 ] || ! kill -0 $job 2>/dev/null; do
    sleep 1
    waited=$((waited + 1))
done
if [ -s pid.1 ] && kill -KILL "$(cat pid.1)" 2>/dev/null; then
    killed=$(date +%s)
    wait $job
    code=$?
    took=$(($(date +%s) - killed))
    check "a rank was killed: the job ends within 20 s" [ $took -le 20 ]
    check "a rank was killed: the exit code is not 0" [ $code -ne 0 ]
    check "a rank was killed: one line names it" [ "$(grep -Ec '^lockstep: .*rank 1' killed.log)" -eq 1 ]
    check "a rank was killed: no summary" [ ! -e killed/summary.csv ]
else
    fail "two ranks train until one is killed" "$(grep '^lockstep: ' killed.log | head -n 1)"
    kill $job 2>/dev/null
    wait $job
fi
sed 's/^/# | /' killed.log | tail -n 15
