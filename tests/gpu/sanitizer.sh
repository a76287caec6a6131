# shellcheck shell=sh
# compute-sanitizer's memcheck and racecheck over the op tests: those of our kernels, then all.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

sanitizer=''
for place in "$(command -v compute-sanitizer)" /usr/local/cuda*/bin/compute-sanitizer; do
    [ -x "$place" ] && sanitizer=$place && break
done
reason=''
[ -n "$sanitizer" ] || reason="compute-sanitizer is not installed"
[ "$device" = cuda ] || reason="it checks kernels on a GPU"
if [ -n "$reason" ]; then
    skip "memcheck over the ops" "$reason"
    skip "racecheck over the ops" "$reason"
    exit 0
fi
# It follows the program, not a script that starts it.
test=$(program test_ops)
if [ -x "$GPU_TOP/libexec/test_ops" ]; then
    # shellcheck disable=SC2034 # environment.sh reads it
    bundle=$GPU_TOP
    # shellcheck source=tests/gpu/environment.sh
    . "$GPU_TOP/libexec/environment.sh"
    test=$GPU_TOP/libexec/test_ops
fi
# What an API call answers is the program's to look at, and it does: a try that the driver refuses is
# no fault.
check_with() { # TOOL SECONDS WHAT ARGUMENT...: of test_ops
    tool=$1 seconds=$2 what="$1 over $3"
    shift 3
    streamed "$tool.log" 's/^/# /' "$seconds" "$sanitizer" --tool "$tool" --report-api-errors no --error-exitcode 99 "$test" "$@"
    code=$?
    if grep -Eq 'not supported|Unable to|Internal Sanitizer Error' "$tool.log" && ! grep -q '^ok' "$tool.log"; then
        skip "$what" "$(grep -E 'not supported|Unable to|Internal Sanitizer Error' "$tool.log" | head -n 1)"
    elif [ $code -eq 124 ] && ! grep -Eq '^=========.*(Invalid|hazard)' "$tool.log"; then
        no_time "$what" "stopped after $((seconds * GPU_PATIENCE)) s with $(grep -c '^ok' "$tool.log") cases clean (LOCKSTEP_PATIENCE=8 and --only sanitizer give it more)"
    elif [ $code -eq 0 ]; then
        pass "$what is clean"
    else
        fail "$what is clean" "exit code $code" "$(tail -n 5 "$tool.log")"
    fi
}
# Our own kernels first. The libraries' take most of the time, and none of it where there is little.
check_with memcheck $(($(seconds_left) / 2)) "the ops that kernels of ours compute" cuda kernels
check_with racecheck "$(seconds_left)" "the ops that kernels of ours compute" cuda kernels
for tool in memcheck racecheck; do
    share=$(seconds_left)
    [ $tool = racecheck ] || share=$((share / 2))
    if [ "$share" -ge 20 ]; then
        check_with $tool "$share" "all ops" cuda
    else
        no_time "$tool over all ops" "too little is left (LOCKSTEP_PATIENCE=8 and --only sanitizer give it more)"
    fi
done
