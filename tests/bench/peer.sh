#!/bin/sh
# The CNN's training step against PyTorch's CPU wheel, 1 and 2 threads, fp32 and bf16,
# images/s.
#
#   sh tests/bench/peer.sh BUILD-FOLDER [ROUNDS [PRECISION...]]
#
# LOCKSTEP_PEER_PYTHON names a Python that can import torch. Exit 77 where there is none.
set -eu
build=${1:?"usage: sh tests/bench/peer.sh BUILD-FOLDER [ROUNDS [PRECISION...]]"}
shift
here=$(dirname "$0")
python=${LOCKSTEP_PEER_PYTHON:-python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "peer.sh: skipped: $python cannot import torch (LOCKSTEP_PEER_PYTHON names one that can)"
    exit 77
fi
exec "$python" "$here/peer.py" "$build/tests/bench/cnn_rate" "$@"
