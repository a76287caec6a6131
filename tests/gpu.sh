#!/bin/sh
# Proves the cuda device on a machine with one GPU: the built tree's folder or an unpacked bundle
# (tests/gpu-bundle.sh) is all it needs; no compiler, Slurm or network, python3 only to compare with
# PyTorch.
#
#   sh tests/gpu.sh [--device cuda|cpu] [--quick] [--only PART,...] OUT
#
# Writes OUT/gpu.log, OUT/report.md, OUT/checks.csv and the benches' CSV files. The last line is
# `N passed, N failed, N skipped`; the exit code is 0 only where nothing failed. It takes less than
# 8 minutes: each part (tests/gpu/PART.sh) has a limit of its own, and all of them together have one.
# `--device cpu` and `--quick` (small sizes) are for trying it where there is no GPU: no number that
# they print says anything about one. LOCKSTEP_BUILD names the build folder (build), and
# LOCKSTEP_PATIENCE=N, a whole number, multiplies every limit.
set -u
total_seconds=470
# What, and at most how many seconds; in this order. Each is a limit, not what it needs: a part that
# comes late may find less, and says what it left out.
parts='machine:30 ops:90 comm:40 training:70 graph:80 ranks:80 overflow:30 memory:50 faults:60 smoke:30
bench_epochs:60 bench_ops:90 sanitizer:80 bench_pytorch:130'

usage() {
    echo "gpu.sh: $1" >&2
    echo "usage: sh tests/gpu.sh [--device cuda|cpu] [--quick] [--only PART,...] OUT" >&2
    exit 2
}
patience=${LOCKSTEP_PATIENCE:-1}
device=cuda quick='' only='' out=''
while [ $# -gt 0 ]; do
    case $1 in
    --device) device=${2:-} && shift ;;
    --quick) quick=yes ;;
    --only) only=${2:-} && shift ;;
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
    [ -f "$(dirname "$0")/gpu/$part.sh" ] || usage "--only: no part '$part' (parts: $(echo "$parts" | tr '\n' ' ' | sed 's/:[0-9]*//g'))"
done
for tool in timeout awk sed mktemp; do
    command -v $tool >/dev/null || { echo "gpu.sh: $tool is not installed" >&2; exit 3; }
done

top=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
log=$out/gpu.log
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP TERM
trap 'exit 130' INT
started=$(date +%s)
: >"$log"
: >"$work/checks"
rm -f "$out"/*.csv "$out/report.md"

# For the parts; lib.sh says what each is.
export GPU_TOP="$top" GPU_OUT="$out" GPU_WORK="$work" GPU_DEVICE="$device" GPU_QUICK="$quick" \
    GPU_PATIENCE="$patience"
# Found once, not by each program that starts.
if [ -f "$top/libexec/find-cuda.sh" ] && [ -z "${LOCKSTEP_CUDA_LIBRARIES+set}" ]; then
    LOCKSTEP_CUDA_LIBRARIES=$(sh "$top/libexec/find-cuda.sh" "$top/etc/cuda-libraries") || exit 3
    export LOCKSTEP_CUDA_LIBRARIES
    echo "CUDA's libraries: ${LOCKSTEP_CUDA_LIBRARIES:-where the system has them}" | tee -a "$log"
fi
# One cache of cuDNN's plans for all parts: a shape is timed once. Nothing of the user's is read.
export XDG_CACHE_HOME="$work/cache" LOCKSTEP_TEST_PLANS="$work/cache/lockstep/plans"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# One GPU, also where there are more: what follows shares one.
if [ "$device" = cuda ]; then
    CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0}
    export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES%%,*}"
fi

run_part() { # NAME SECONDS: TAP on stdout goes to the log, its cases to checks
    left=$((started + total_seconds * patience - $(date +%s)))
    limit=$(($2 * patience))
    [ "$left" -ge "$limit" ] || limit=$left
    printf '\n=== %s (at most %d s)\n' "$1" "$limit" >>"$log"
    printf '[%3d s] %s\n' $(($(date +%s) - started)) "$1"
    if [ "$limit" -lt 8 ]; then
        echo "ok - $1 # SKIP the time of the whole was used up" >"$work/tap"
    else
        GPU_END=$(($(date +%s) + limit)) timeout -k 5 $((limit + 5)) sh "$top/tests/gpu/$1.sh" \
            >"$work/tap" 2>&1 </dev/null
        code=$?
        case $code in
        0) ;;
        124 | 137) echo "not ok - $1 ended within $limit s" >>"$work/tap" ;;
        *) echo "not ok - $1 ran to its end (exit code $code)" >>"$work/tap" ;;
        esac
    fi
    cat "$work/tap" >>"$log"
    grep -E '^(ok|not ok)' "$work/tap" | sed -e "s/^/$1	/" >"$work/cases"
    [ -s "$work/cases" ] || echo "$1	not ok - $1 made a check" >"$work/cases"
    cat "$work/cases" >>"$work/checks"
    sed -n -e 's/^[^	]*	\(not ok\)/         \1/p' -e 's/^[^	]*	ok\(.*# SKIP\)/         skipped\1/p' "$work/cases"
}

for part in $parts; do
    name=${part%:*}
    case ",$only," in
    ,, | *",$name,"*) run_part "$name" "${part#*:}" ;;
    esac
done
seconds=$(($(date +%s) - started))
counts=$(awk -F '\t' '
    $2 ~ /^not ok/ { failed++; next }
    $2 ~ /# SKIP/ { skipped++; next }
    { passed++ }
    END { printf "%d passed, %d failed, %d skipped", passed, failed, skipped }' "$work/checks")
sh "$top/tests/gpu/report.sh" "$work/checks" "$seconds" "$counts" >"$out/report.md" || echo "gpu.sh: no report" >&2
echo "$out: report.md, gpu.log, $(cd "$out" && echo ./*.csv | sed 's,\./,,g')"
echo "$counts" | tee -a "$log"
case $counts in *" 0 failed,"*) exit 0 ;; *) exit 1 ;; esac
