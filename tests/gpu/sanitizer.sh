# shellcheck shell=sh
# compute-sanitizer's memcheck and racecheck over the op tests.
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
    skip "memcheck over the op tests" "$reason"
    skip "racecheck over the op tests" "$reason"
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
for tool in memcheck racecheck; do
    share=$(((GPU_END - $(date +%s) - 6) / GPU_PATIENCE))
    [ $tool = racecheck ] || share=$((share / 2))
    limit $share "$sanitizer" --tool $tool --error-exitcode 99 "$test" cuda >$tool.log 2>&1
    code=$?
    grep -E 'ERROR SUMMARY|RACECHECK SUMMARY|^=========.*(Invalid|Error|hazard)' $tool.log | head -n 20 | sed 's/^/# /'
    if grep -Eq 'not supported|Unable to|Internal Sanitizer Error' $tool.log && ! grep -q '^ok' $tool.log; then
        skip "$tool over the op tests" "$(grep -E 'not supported|Unable to|Internal Sanitizer Error' $tool.log | head -n 1)"
    elif [ $code -eq 124 ] && ! grep -Eq '^=========.*(Invalid|hazard)' $tool.log; then
        skip "$tool over the op tests" "stopped after $((share * GPU_PATIENCE)) s with $(grep -c '^ok' $tool.log) cases clean (LOCKSTEP_PATIENCE=4 and --only sanitizer give it more)"
    elif [ $code -eq 0 ]; then
        pass "$tool over the op tests is clean"
    else
        fail "$tool over the op tests is clean" "exit code $code" "$(tail -n 5 $tool.log)"
    fi
done
