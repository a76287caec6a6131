#!/bin/sh
# The Markdown report of a run of tests/gpu.sh, as far as it has come. What a part wrote stands
# between two comments, by which --resume finds it again.
#
#   sh report.sh CHECKS SECONDS TODO KIND BUILDS
#
# CHECKS: rows of checks.csv; TODO: parts that have not run; KIND of results that this holds; BUILDS:
# versions of the program that made them.
set -u
checks=$1 todo=$3 kind=$4 builds=$5

echo "# lockstep on $GPU_DEVICE"
echo "<!-- run on $kind, built from $builds -->"
echo
echo "$(awk -F, '$2 == "passed" { p++ } $2 == "failed" { f++ } $2 == "skipped" { s++ }
    END { printf "%d passed, %d failed, %d skipped", p, f, s }' "$checks"), $2 s since it was started, $(date -u '+%Y-%m-%d %H:%M UTC')."
case $builds in
*' '*)
    echo
    echo "**Several builds made what stands here: $builds.**"
    ;;
esac
if [ -n "$todo" ]; then
    echo
    echo "**Not all has run.** Missing: $todo."
fi
if [ -s "$GPU_WORK/no-device" ]; then
    echo
    echo "**There is no device to test: $(cat "$GPU_WORK/no-device")**"
fi
if [ "$GPU_DEVICE" != cuda ]; then
    echo
    echo "**No GPU was used: this run tried the script on device $GPU_DEVICE. No number here says anything about a GPU.**"
fi
if grep -q 'emulated by the CPU' "$GPU_WORK"/*.md 2>/dev/null; then
    echo
    echo "**No GPU was used: the device is emulated by the CPU. No number here says anything about a GPU.**"
fi
if [ "$GPU_QUICK" = yes ]; then
    echo
    echo "**Small sizes (--quick): the times mean nothing.**"
fi
echo
echo "| part | passed | failed | skipped |"
echo "|---|---|---|---|"
awk -F, '
    !($1 in seen) { seen[$1] = 1; order[++n] = $1 }
    { count[$1 "," $2]++ }
    END {
        for (i = 1; i <= n; i++)
            printf "| %s | %d | %d | %d |\n", order[i], count[order[i] ",passed"], count[order[i] ",failed"], count[order[i] ",skipped"]
    }' "$checks"
for result in failed skipped; do
    awk -F, -v result=$result '$2 == result { found = 1 } END { exit !found }' "$checks" || continue
    echo
    echo "## What $([ $result = failed ] && echo failed || echo 'was skipped')"
    echo
    awk -F, -v result=$result '
        $2 == result {
            text = substr($0, length($1 $2) + 4) # after the first quote
            sub(/","",*$/, "", text); sub(/","/, ": ", text); sub(/"$/, "", text)
            gsub(/""/, "\"", text)
            print "- " $1 ": " text
        }' "$checks"
done
title() {
    case $1 in
    machine) echo "The machine" ;;
    first) echo "The short answer" ;;
    epochs*) echo "10 epochs from start to finish ($1)" ;;
    pytorch*) echo "The CNN against PyTorch ($1)" ;;
    resnet18) echo "ResNet-18 against PyTorch" ;;
    floors*) echo "Ops against their floor ($1)" ;;
    *) echo "$1" ;;
    esac
}
for part in machine first epochs_bf16 pytorch_bf16 floors_bf16 epochs pytorch resnet18 floors; do
    [ -f "$GPU_WORK/$part.md" ] || continue
    echo
    echo "## $(title "$part")"
    echo
    echo "<!-- $part -->"
    cat "$GPU_WORK/$part.md"
    echo "<!-- end of $part -->"
done
