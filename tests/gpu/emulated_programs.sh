#!/bin/sh
# A folder of links by which tests/gpu.sh finds the programs whose GPU is emulated by the CPU
# (tests/emulated/); prints its path, inside the build folder.
#
#   sh tests/gpu/emulated_programs.sh BUILD-FOLDER
set -eu
build=$(cd "${1:?usage: sh emulated_programs.sh BUILD-FOLDER}" && pwd)
programs=$build/tests/gpu/emulated
mkdir -p "$programs"
ln -sfn "$build/tests/emulated/lockstep-emulated" "$programs/lockstep"
for name in test_ops test_network test_comm test_kernels op_floor step_rate hold_memory; do
    for place in emulated kernels gpu; do
        [ ! -x "$build/tests/$place/${name}_emulated" ] || ln -sfn "$build/tests/$place/${name}_emulated" "$programs/$name"
    done
done
ln -sfn "$build/tests/gpu/raise_loopback" "$programs/raise_loopback"
# cuDNN's stand-in describes no GPU.
printf '#!/bin/sh\necho "ok 1 - plans for this GPU # SKIP cuDNN is emulated"\n' >"$programs/test_plans"
chmod +x "$programs/test_plans"
echo "$programs"
