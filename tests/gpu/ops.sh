# shellcheck shell=sh
# Every op of the device, forward and backward, against ref in one precision ($1; test_ops prints the
# cases and their tolerances). A process for each kind of op, so that the first one that a library
# refuses hides no other. fp32 also: the network's passes, and cuDNN's plans for this GPU.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"
case " $(precisions) " in
*" $1 "*) ;;
*)
    skip "ops in $1" "$device computes in $(precisions)"
    exit 0
    ;;
esac

for kind in products kernels convolutions; do
    run_tap "$kind" "$(program test_ops)" "$device" "$1" $kind
done
[ "$1" = fp32 ] || exit 0
run_tap "network" "$(program test_network)" "$device"
if [ "$device" = cuda ]; then
    run_tap "cuDNN plans" "$(program test_plans)" this-gpu
else
    skip "cuDNN's plans for this GPU" "needs a GPU"
fi
