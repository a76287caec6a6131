#!/bin/sh
# The CNN's training steps against PyTorch's.   golden_step.sh GOLDEN_STEP DEVICE...
# Exit 77 (skipped) where no Python can import PyTorch.
set -eu
program=$1
shift
# shellcheck source=tests/peer/pytorch.sh
. "$(dirname "$0")/pytorch.sh"
golden=$(mktemp)
trap 'rm -f "$golden"' EXIT
"$python" "$(dirname "$0")/golden_step.py" "$golden"
for device in "$@"; do
    echo "# device $device"
    "$program" "$golden" "$device"
done
