#!/bin/sh
# Proves the cuda device on a machine with one GPU: the built tree's folder or an unpacked bundle
# (tests/gpu-remote.sh) is all it needs; no compiler, Slurm or network, python3 only to compare with
# PyTorch.
#
#   sh tests/gpu.sh [--device cuda|cpu] [--quick] [--only PART,...] [--resume] OUT
#
# It is made for a GPU that is lent for ten minutes: what says most comes first (`--only first` alone
# answers in 90 s whether it runs, whether bf16 is right, how long a step is and where it goes), each
# part has a limit of its own and all of them fit into 570 s, and whatever ends it, at any moment,
# what stands in OUT is whole and true: gpu.log gets every line as it is printed, and after each part
# report.md, checks.csv, the benches' CSV files and `plans` (which convolution engines were the
# fastest) are replaced whole. `--resume` goes on in such a folder: it runs the parts that have not
# passed. At most 8 files, none larger than 16 MiB.
#
# The last line is `N passed, N failed, N skipped`; the exit code is 0 only where nothing failed, and
# 130 or 143 where a signal stopped it. `--device cpu` and `--quick` (small sizes) are for trying it
# where there is no GPU: no number that they print says anything about one. LOCKSTEP_BUILD names the
# build folder (build), and LOCKSTEP_PATIENCE=N, a whole number, multiplies every limit.
set -u
total_seconds=570
# Name, the seconds that are kept for it, the most that it takes where other parts left some, and
# what runs it: tests/gpu/SCRIPT.sh with arguments. In this order; the third column sums to the total.
parts='
machine       10  15  machine
first         85  90  first
kernels       15  30  kernels
ops_bf16      45  60  ops bf16
graph_bf16    20  30  graph bf16
epochs_bf16   20  40  bench_epochs bf16
pytorch_bf16  75 100  bench_pytorch cnn 64 bf16
floors_bf16   15  30  bench_ops 64 bf16
ops_fp32      25  60  ops fp32
ops_tf32      25  60  ops tf32
ops_fp16      25  60  ops fp16
training      40  80  training
comm          15  40  comm
ranks         30  80  ranks
graph         25  60  graph fp32 tf32 fp16 nccl
overflow      10  30  overflow
faults        25  60  faults
memory        25  50  memory
smoke         10  30  smoke
floors         5  60  bench_ops 64,512,4096 bf16 fp32 tf32 fp16
epochs         5  40  bench_epochs tf32 fp32
pytorch        5 120  bench_pytorch cnn 64,512,4096 bf16 tf32
resnet18       5 280  bench_pytorch resnet18 256 bf16
sanitizer     10 400  sanitizer
'
names=$(echo "$parts" | awk 'NF { print $1 }')

usage() {
    echo "gpu.sh: $1" >&2
    echo "usage: sh tests/gpu.sh [--device cuda|cpu] [--quick] [--only PART,...] [--resume] OUT" >&2
    exit 2
}
patience=${LOCKSTEP_PATIENCE:-1}
device=cuda quick='' only='' resume='' out=''
while [ $# -gt 0 ]; do
    case $1 in
    --device) device=${2:-} && shift ;;
    --quick) quick=yes ;;
    --only) only=${2:-} && shift ;;
    --resume) resume=yes ;;
    --*) usage "unknown option '$1'" ;;
    *)
        [ -z "$out" ] || usage "one folder for the results, found '$out' and '$1'"
        out=$1
        ;;
    esac
    [ $# -gt 0 ] && shift
done
case $device in cuda | cpu) ;; *) usage "--device: expected cuda or cpu, found '$device'" ;; esac
[ -n "$out" ] || usage "expected a folder for the results"
for part in $(echo "$only" | tr ',' ' '); do
    echo "$names" | grep -qx -e "$part" || usage "--only: no part '$part' (parts: $(echo "$names" | tr '\n' ' '))"
done
for tool in timeout awk sed grep tee mktemp; do
    command -v $tool >/dev/null || { echo "gpu.sh: $tool is not installed" >&2; exit 3; }
done

top=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
# What a killed run could not remove.
for left in "${TMPDIR:-/tmp}"/lockstep-gpu.*.*; do
    pid=${left##*/lockstep-gpu.}
    [ ! -d "$left" ] || kill -0 "${pid%%.*}" 2>/dev/null || rm -rf "$left" 2>/dev/null
done
work=$(mktemp -d "${TMPDIR:-/tmp}/lockstep-gpu.$$.XXXXXX") || exit 1
trap 'rm -rf "$work" "$staging"' EXIT
started=$(date +%s)

# For the parts; lib.sh says what each is.
export GPU_TOP="$top" GPU_WORK="$work" GPU_DEVICE="$device" GPU_QUICK="$quick" \
    GPU_PATIENCE="$patience" GPU_PID=$$
# shellcheck source=tests/gpu/publish.sh
. "$top/tests/gpu/publish.sh"
# shellcheck source=tests/gpu/surroundings.sh
. "$top/tests/gpu/surroundings.sh"

# ---- one part

# Its rows go in front of those of other parts' later ones: in the order in which parts ran.
record_part() { # PART TAP-FILE
    case_rows "$1" <"$2" >"$work/rows"
    [ -s "$work/rows" ] || echo "not ok - $1 made a check" | case_rows "$1" >"$work/rows"
    { others_of "$1" <"$work/checks.csv" && cat "$work/rows"; } >"$work/checks.new"
    mv "$work/checks.new" "$work/checks.csv"
    awk -F '\t' '
        /^not ok/ { print "         " $0 }
        /^ok.*# SKIP/ { sub(/^ok - /, ""); sub(/ *# SKIP */, ": "); print "         skipped: " $0 }' "$2"
}

# Seconds that are kept for this part and those that come after it.
kept_from() { # PART
    echo "$parts" | awk -v from="$1" -v todo=" $todo " '
        $1 == from { on = 1 }
        on && NF && index(todo, " " $1 " ") { sum += $2 }
        END { print sum + 0 }'
}

limit_of() { # PART KEPT MOST
    spare=$((total_seconds - $(kept_from "$1") - ($(date +%s) - started) / patience))
    limit=$(($2 + spare))
    [ "$limit" -le "$3" ] || limit=$3
    echo $((limit * patience))
}

# What a part prints goes to the log line by line: the last program of the pipe writes nothing but
# whole lines. None is longer than 500 bytes, and a part that prints more than 6000 (or 200 where the
# log has grown to 10 MB) is heard no further.
whole_lines() {
    most=6000
    [ "$(wc -c <"$log")" -le 10000000 ] || most=200
    LC_ALL=C sed -u -e 's/^\(.\{500\}\).*/\1 .../' -e "${most}q" >>"$log"
    cat >/dev/null
}

run_part() { # PART KEPT MOST SCRIPT ARGUMENT...
    part=$1 limit=$(limit_of "$1" "$2" "$3")
    script=$4
    shift 4
    printf '[%3d s] %s\n' $(($(date +%s) - started)) "$part"
    : >"$work/tap"
    if [ -s "$work/no-device" ]; then
        case $told in
        yes) echo "ok - $part # SKIP no device" ;;
        *) echo "not ok - there is a device to test: $(cat "$work/no-device")" ;;
        esac | tee -a "$log" >"$work/tap"
        told=yes
    elif [ "$limit" -lt $((8 * patience)) ]; then
        echo "ok - $part # SKIP no time: what there is was used up" >"$work/tap"
    else
        printf '\n=== %s (at most %d s)\n' "$part" "$limit" >>"$log"
        running=$part
        {
            GPU_PART=$part GPU_END=$(($(date +%s) + limit)) timeout -k 5 $((limit + 5)) \
                sh "$top/tests/gpu/$script.sh" "$@" 2>&1 </dev/null &
            echo $! >"$work/part-pid"
            wait $!
            echo $? >"$work/code"
        } | tee "$work/tap" | whole_lines &
        pipe=$!
        wait $pipe
        code=$(cat "$work/code")
        case $code in
        0) ;;
        124 | 137) echo "not ok - $part ended within $limit s" | tee -a "$log" >>"$work/tap" ;;
        *) echo "not ok - $part ran to its end (exit code $code)" | tee -a "$log" >>"$work/tap" ;;
        esac
        running=''
        [ ! -s "$work/no-device" ] || told=yes # by the part that found none
    fi
    record_part "$part" "$work/tap"
    todo=$(echo "$todo" | sed "s/ $part / /")
    publish
    # What comes last on the screen is all that some machines hand back.
    [ ! -f "$work/$part.md" ] || [ "$part" != first ] || cat "$work/$part.md"
}

# shellcheck disable=SC2317 # the traps call it
# What was seen of the part at hand stands, and that it did not end: it runs again with --resume.
stop() { # SIGNAL EXIT-CODE
    trap '' HUP INT TERM
    if [ -n "$running" ]; then
        { grep -a -E '^(ok|not ok) - ' "$work/tap"; echo "not ok - $running ran to its end (stopped by SIG$1)"; } >"$work/seen"
        record_part "$running" "$work/seen" >/dev/null
        publish
        kill -TERM "$(cat "$work/part-pid" 2>/dev/null)" 2>/dev/null
        end_programs
    fi
    echo "gpu.sh: stopped by SIG$1; --resume goes on"
    counts_of "$work/checks.csv"
    exit "$2"
}

# ---- all of them

running='' told=''
todo=" $(for part in $names; do case ",$only," in ,, | *",$part,"*) echo "$part" ;; esac; done | tr '\n' ' ')"
open_results "$resume"
trap 'stop HUP 143' HUP
trap 'stop TERM 143' TERM
trap 'stop INT 130' INT
surroundings
publish
echo "$parts" | sed '/^$/d' >"$work/parts"
while read -r line <&3; do
    # shellcheck disable=SC2086 # a line of words
    set -- $line
    case $todo in *" $1 "*) run_part "$@" 3<&- ;; esac
done 3<"$work/parts"
publish
echo "$out: $(cd "$out" && echo ./* | sed 's,\./,,g')"
counts_of "$work/checks.csv" | tee -a "$log"
case $(counts_of "$work/checks.csv") in *" 0 failed,"*) exit 0 ;; *) exit 1 ;; esac
