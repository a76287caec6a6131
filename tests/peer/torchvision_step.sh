#!/bin/sh
# A training step of a model against torchvision's.
#   torchvision_step.sh TORCHVISION_STEP MODEL SIDE BATCH CLASSES TYPE DEVICE...
# TYPE: what torchvision computes in, float or double.
# Exit 77 (skipped) where no Python can import torchvision.
set -eu
program=$1 model=$2 side=$3 batch=$4 classes=$5 type=$6
shift 6
# shellcheck source=tests/peer/pytorch.sh
. "$(dirname "$0")/pytorch.sh"
if ! "$python" -c 'import torchvision' 2>/dev/null; then
    echo "skipped: $python cannot import torchvision (LOCKSTEP_PEER_PYTHON names another Python that can)"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $model in
vit-*) peer=vit_step.py ;;
*) peer=resnet_step.py ;;
esac
"$python" "$(dirname "$0")/$peer" "$model" "$side" "$batch" "$classes" "$type" \
    "$work/weights.safetensors" "$work/golden.safetensors"
for device in "$@"; do
    echo "# device $device"
    "$program" "$model" "$work/weights.safetensors" "$work/golden.safetensors" "$device"
done
