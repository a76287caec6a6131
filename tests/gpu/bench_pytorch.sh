# shellcheck shell=sh
# The CNN's training step against PyTorch on the same device (tests/bench/gpu_peer.py).
# LOCKSTEP_PEER_PYTHON names a Python that can import torch.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

python=${LOCKSTEP_PEER_PYTHON:-python3}
if ! limit 60 "$python" -c "import torch; assert '$device' == 'cpu' or torch.cuda.is_available()" 2>peer.err; then
    reason=$(tail -n 1 peer.err)
    skip "the CNN against PyTorch" "$python: ${reason:-cannot import torch with this device}"
    exit 0
fi
left=$((GPU_END - $(date +%s) - 10))
# shellcheck disable=SC2046
limit "$left" "$python" "$GPU_TOP/tests/bench/gpu_peer.py" "$(program step_rate)" --device "$device" \
    --csv "$GPU_OUT/pytorch.csv" --markdown "$GPU_WORK/bench_pytorch.md" --seconds $((left - 10)) \
    $([ "$GPU_QUICK" = yes ] && echo --quick) 2>&1
