#!/bin/sh
# Every optimizer, schedule and limit against PyTorch's, step by step.
#   recipes.sh RECIPES MODEL STEPS DEVICE...     (50 steps: build/tests/peer/recipes by hand)
# Exit 77 (skipped) where no Python can import PyTorch.
set -eu
program=$1 model=$2 steps=$3
shift 3
# shellcheck source=tests/peer/pytorch.sh
. "$(dirname "$0")/pytorch.sh"
if [ "$model" != cnn ] && ! "$python" -c 'import torchvision' 2>/dev/null; then
    echo "skipped: $python cannot import torchvision (LOCKSTEP_PEER_PYTHON names another Python that can)"
    exit 77
fi
file=$(mktemp)
trap 'rm -f "$file"' EXIT
"$python" "$(dirname "$0")/recipes.py" "$file" "$steps" "$model"
for device in "$@"; do
    echo "# device $device"
    "$program" "$file" "$device"
done
