# shellcheck shell=sh
# Out of device memory, on purpose: another process holds all but 3 GiB, and a batch is asked for
# that needs several times that. One line, exit code 2, and the batch that it names does train.
# shellcheck source=tests/gpu/lib.sh
. "$GPU_TOP/tests/gpu/lib.sh"

name="a batch beyond the device's memory"
hold=$(program hold_memory)
if [ "$device" != cuda ]; then
    skip "$name" "$device has no memory of its own"
    exit 0
fi
images=16384
data=$(data_of $images 64)
"$hold" cuda 3072 60 >held.log 2>&1 &
holder=$!
trap 'kill "$holder" 2>/dev/null' EXIT
for second in 1 2 3 4 5 6 7 8 9 10; do
    grep -q 'left free' held.log && break
    kill -0 "$holder" 2>/dev/null || break
    sleep 1
done
sed 's/^/# | /' held.log
grep -q 'left free' held.log || { fail "device memory can be held" "after $second s: $(head -n 1 held.log)"; exit 0; }

train large 0 --device cuda --data "$data" --epochs 1 --precision fp32 --batch-per-rank $images
code=$?
line=$(grep '^lockstep: ' large.log)
check "$name: exit code 2" [ $code -eq 2 ]
check "$name: one line" [ "$(grep -c '^lockstep: ' large.log)" -eq 1 ]
fits=$(echo "$line" | sed -n 's/.*largest batch that would fit is about \([0-9][0-9]*\) .*/\1/p')
if [ "${fits:-0}" -ge 64 ]; then
    pass "$name: the line names one that fits ($fits)"
    if [ "$GPU_QUICK" = yes ]; then
        skip "nine tenths of the batch that it names train" "too large for --quick"
    elif train fitting 0 --device cuda --data "$data" --epochs 1 --precision fp32 --batch-per-rank $((fits * 9 / 10)); then
        pass "nine tenths of the batch that it names train"
    else
        fail "nine tenths of the batch that it names train" "$(grep '^lockstep: ' fitting.log)"
    fi
else
    fail "$name: the line names one that fits" "$line"
fi
