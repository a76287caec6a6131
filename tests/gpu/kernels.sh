# shellcheck shell=sh
# Our own kernels: by themselves, and as the ops that they compute, in the narrowest precision that
# the CNN trains in. No library has a part in it.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

if [ "$device" != cuda ]; then
    skip "the kernels by themselves" "needs a GPU"
    exit 0
fi
run_tap "kernels" "$(program test_kernels)"
run_tap "ops of our kernels" "$(program test_ops)" cuda bf16 kernels
