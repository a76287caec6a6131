#!/bin/sh
# The CNN's training step against PyTorch's CPU wheel, 1 and 2 threads, fp32 and bf16,
# images/s.
#
#   sh tests/bench/peer.sh [--isa avx2|sse41] BUILD-FOLDER [ROUNDS [PRECISION...]]
#
# --isa: both as on a processor that has no more than that, by the variables of oneDNN, PyTorch and
# MKL (which has AVX2 and SSE4.2).
# LOCKSTEP_PEER_PYTHON names a Python that can import torch. Exit 77 where there is none.
set -eu
limit() { # ONEDNN ATEN MKL
    export ONEDNN_MAX_CPU_ISA="$1" DNNL_MAX_CPU_ISA="$1" ATEN_CPU_CAPABILITY="$2" MKL_ENABLE_INSTRUCTIONS="$3"
}
if [ "${1:-}" = --isa ]; then
    case ${2:-} in
    avx2) limit AVX2 avx2 AVX2 ;;
    sse41) limit SSE41 default SSE4_2 ;;
    *) echo "peer.sh: --isa: expected avx2 or sse41" >&2; exit 2 ;;
    esac
    shift 2
fi
build=${1:?"usage: sh tests/bench/peer.sh [--isa avx2|sse41] BUILD-FOLDER [ROUNDS [PRECISION...]]"}
shift
here=$(dirname "$0")
python=${LOCKSTEP_PEER_PYTHON:-python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "peer.sh: skipped: $python cannot import torch (LOCKSTEP_PEER_PYTHON names one that can)"
    exit 77
fi
exec "$python" "$here/peer.py" "$build/tests/bench/cnn_rate" "$@"
