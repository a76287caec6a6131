#!/bin/sh
# The Markdown report of a run of tests/gpu.sh, and OUT/checks.csv, from the checks of the parts.
#
#   sh report.sh CHECKS SECONDS COUNTS      CHECKS: a line "PART<tab>TAP case" each
set -u
checks=$1
awk -F '\t' -v csv="$GPU_OUT/checks.csv" '
    function quoted(text) { gsub(/"/, "\"\"", text); return "\"" text "\"" }
    BEGIN { print "part,result,check,reason" > csv }
    {
        result = $2 ~ /^not ok/ ? "failed" : $2 ~ /# SKIP/ ? "skipped" : "passed"
        name = $2; reason = ""
        sub(/^(not )?ok - /, "", name)
        if (result == "skipped") { reason = name; sub(/.*# SKIP */, "", reason); sub(/ *# SKIP.*/, "", name) }
        print $1 "," result "," quoted(name) "," quoted(reason) > csv
    }' "$checks"

echo "# lockstep on $GPU_DEVICE"
echo
echo "$3, in $2 s, $(date -u '+%Y-%m-%d %H:%M UTC')."
if [ "$GPU_DEVICE" != cuda ]; then
    echo
    echo "**No GPU was used: this run tried the script on device $GPU_DEVICE. No number here says anything about a GPU.**"
fi
if grep -q emulated "$GPU_WORK/device-name" 2>/dev/null; then
    echo
    echo "**No GPU was used: the device is emulated by the CPU. No number here says anything about a GPU.**"
fi
if [ "$GPU_QUICK" = yes ]; then
    echo
    echo "**Small sizes (--quick): the times mean nothing.**"
fi
echo
cat "$GPU_WORK/machine.md" 2>/dev/null
echo
echo "| part | passed | failed | skipped |"
echo "|---|---|---|---|"
awk -F '\t' '
    !($1 in seen) { seen[$1] = 1; order[++n] = $1 }
    $2 ~ /^not ok/ { failed[$1]++; next }
    $2 ~ /# SKIP/ { skipped[$1]++; next }
    { passed[$1]++ }
    END { for (i = 1; i <= n; i++) printf "| %s | %d | %d | %d |\n", order[i], passed[order[i]], failed[order[i]], skipped[order[i]] }' "$checks"
for kind in failed skipped; do
    pattern=$([ $kind = failed ] && echo '	not ok' || echo '# SKIP')
    grep -q "$pattern" "$checks" || continue
    echo
    echo "## What $([ $kind = failed ] && echo failed || echo 'was skipped')"
    echo
    grep "$pattern" "$checks" | sed -E -e 's/^([^	]*)	(not )?ok - /- \1: /' -e 's/# SKIP/;/'
done
title() {
    case $1 in
    bench_ops) echo "Ops against their floor" ;;
    bench_epochs) echo "10 epochs from start to finish" ;;
    bench_pytorch) echo "The CNN against PyTorch" ;;
    esac
}
for part in bench_epochs bench_pytorch bench_ops; do
    [ -f "$GPU_WORK/$part.md" ] || continue
    echo
    echo "## $(title $part)"
    echo
    cat "$GPU_WORK/$part.md"
done
