#!/bin/sh
# Tries tests/gpu.sh --device cuda on the device that the CPU emulates (tests/emulated/): that its
# parts ask for what the program does, not how fast; no result of it is a GPU's.
#
#   sh tests/gpu/emulated.sh BUILD-FOLDER OUT [OPTION-OF-gpu.sh...]
set -eu
build=$(cd "${1:?usage: sh tests/gpu/emulated.sh BUILD-FOLDER OUT}" && pwd)
out=$2
shift 2
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
ln -s "$build/tests/emulated/lockstep-emulated" "$programs/lockstep"
for name in test_ops test_network test_comm test_kernels op_floor step_rate hold_memory; do
    for place in emulated kernels gpu; do
        [ ! -x "$build/tests/$place/${name}_emulated" ] || ln -s "$build/tests/$place/${name}_emulated" "$programs/$name"
    done
done
# cuDNN's stand-in describes no GPU.
printf '#!/bin/sh\necho "ok 1 - plans for this GPU # SKIP cuDNN is emulated"\n' >"$programs/test_plans"
chmod +x "$programs/test_plans"
export CUDA_VISIBLE_DEVICES=0 LOCKSTEP_EMULATED_GPUS=1 LOCKSTEP_BUILD="$programs"
export LOCKSTEP_PATIENCE="${LOCKSTEP_PATIENCE:-10}"
sh "$(dirname "$0")/../gpu.sh" --device cuda --quick "$@" "$out"
