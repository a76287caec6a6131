#!/bin/sh
# The CNN's training steps against PyTorch's.   golden_step.sh GOLDEN_STEP DEVICE...
# LOCKSTEP_PEER_PYTHON names a Python that can import torch; exit 77 (skipped) where there is none.
set -eu
program=$1
shift
python=${LOCKSTEP_PEER_PYTHON:-python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "skipped: $python cannot import torch (LOCKSTEP_PEER_PYTHON names one that can)"
    exit 77
fi
golden=$(mktemp)
trap 'rm -f "$golden"' EXIT
"$python" "$(dirname "$0")/golden_step.py" "$golden"
for device in "$@"; do
    echo "# device $device"
    "$program" "$golden" "$device"
done
