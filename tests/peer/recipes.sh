#!/bin/sh
# Every optimizer, schedule and limit against PyTorch's, step by step.
#   recipes.sh RECIPES STEPS DEVICE...     (50 steps: build/tests/peer/recipes by hand)
# Exit 77 (skipped) where no Python can import PyTorch.
set -eu
program=$1 steps=$2
shift 2
# shellcheck source=tests/peer/pytorch.sh
. "$(dirname "$0")/pytorch.sh"
file=$(mktemp)
trap 'rm -f "$file"' EXIT
"$python" "$(dirname "$0")/recipes.py" "$file" "$steps"
for device in "$@"; do
    echo "# device $device"
    "$program" "$file" "$device"
done
