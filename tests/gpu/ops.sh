# shellcheck shell=sh
# Every op of the device, forward and backward, against ref in each precision (test_ops prints the
# cases and their tolerances); the network's passes; on a GPU also the kernels by themselves and
# cuDNN's plans for it, with its descriptor.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

run_tap "ops" "$(program test_ops)" "$device"
run_tap "network" "$(program test_network)" "$device"
if [ "$device" = cuda ]; then
    run_tap "kernels" "$(program test_kernels)"
    run_tap "cuDNN plans" "$(program test_plans)" this-gpu
else
    skip "the kernels by themselves" "needs a GPU"
    skip "cuDNN's plans for this GPU" "needs a GPU"
fi
