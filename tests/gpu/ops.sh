# shellcheck shell=sh
# Every op of the device, forward and backward, against ref in each precision (test_ops prints the
# cases and their tolerances); then the network's passes, and the kernels' launchers by themselves.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

run_tap() { # PROGRAM: its cases become this part's
    test=$(program "$1")
    limit 60 "$test" "$device" >"$1.tap" 2>&1
    code=$?
    sed -E -e "s/^(ok|not ok) [0-9]+ - /\1 - $1: /" -e '/^1\.\.[0-9]+$/d' "$1.tap"
    if [ $code -eq 0 ] && grep -q '^ok' "$1.tap"; then
        pass "$1 $device ran to its end"
    else
        fail "$1 $device ran to its end" "exit code $code"
    fi
}
run_tap test_ops
run_tap test_network
if [ "$device" = cuda ]; then
    run_tap test_kernels
fi
