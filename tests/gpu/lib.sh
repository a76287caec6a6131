# shellcheck shell=sh disable=SC2034 # the parts use what is set here
# Sourced by every part. gpu.sh has exported GPU_TOP (the tree or the bundle), GPU_OUT (results),
# GPU_WORK (scratch, removed at the end), GPU_DEVICE, GPU_QUICK (yes: small sizes), GPU_END (when
# this part must have ended, in seconds since the epoch), GPU_PATIENCE (a factor on all limits).
#
# A part prints TAP cases (`ok - what`, `not ok - what`, `ok - what # SKIP why`), everything else
# for the log; a table for the report goes to $GPU_WORK/PART.md. Each case says what held.
set -u
device=$GPU_DEVICE
cd "$GPU_WORK" || exit 1

program() { # NAME: its path
    build=${LOCKSTEP_BUILD:-$GPU_TOP/build}
    for place in "$GPU_TOP/bin" "$build" "$build/tests/unit" "$build/tests/bench" "$build/tests/gpu" \
        "$build/tests/kernels" "$build/tests/plans"; do
        if [ -x "$place/$1" ] && [ ! -d "$place/$1" ]; then
            echo "$place/$1"
            return
        fi
    done
    command -v "$1" || echo "$GPU_TOP/build/$1"
}
lockstep=$(program lockstep)
mpirun=$(program mpirun)

pass() { echo "ok - $1"; }
fail() { # WHAT DETAIL...
    echo "not ok - $1"
    shift
    for detail; do echo "# $detail"; done
}
skip() { echo "ok - $1 # SKIP $2"; }
check() { # WHAT COMMAND...: holds where the command succeeds; what it prints says why not
    what=$1
    shift
    if "$@"; then pass "$what"; else fail "$what"; fi
}
# SIZE SMALL [TINY]: what --quick makes of a size; TINY for cuda, whose quick runs are those of the
# device that the CPU emulates (tests/emulated/), thousands of times slower.
quickly() {
    if [ "$GPU_QUICK" != yes ]; then
        echo "$1"
    elif [ "$device" = cuda ]; then
        echo "${3:-$2}"
    else
        echo "$2"
    fi
}

# At most so many seconds, and not past the end of this part: 124 where it was stopped.
limit() { # SECONDS COMMAND...
    seconds=$(($1 * GPU_PATIENCE))
    shift
    left=$((GPU_END - $(date +%s) - 4))
    [ "$left" -ge "$seconds" ] || seconds=$left
    if [ "$seconds" -lt 1 ]; then
        echo "# no time left for: $*"
        return 124
    fi
    timeout -k 3 "$seconds" "$@"
}

have_mpirun() { [ -x "$mpirun" ]; }
start_ranks() { # RANKS: the launcher's words
    echo "$mpirun --oversubscribe --bind-to none -n $1"
}

# Generated images, made once: DATA-FOLDER of that many.
data_of() { # TRAINING-IMAGES TEST-IMAGES
    folder=$GPU_WORK/data-$1-$2
    [ -d "$folder" ] || limit 60 "$lockstep" pack synthetic "$folder" --images "$1" \
        --test-images "$2" --seed 3 >/dev/null || return
    echo "$folder"
}

# On a busy machine of few cores (--quick) one thread is faster than two that wait for each other.
threads() { quickly "" "--threads 1"; }

# Trains; the results lie in NAME/, what it printed in NAME.log. Returns the exit code.
train() { # NAME RANKS OPTION...; RANKS 0: without a launcher
    run=$1 launcher=''
    [ "$2" -eq 0 ] || launcher=$(start_ranks "$2")
    shift 2
    # shellcheck disable=SC2046
    case " $* " in *' --threads '*) ;; *) set -- "$@" $(threads) ;; esac
    rm -rf "${GPU_WORK:?}/$run"
    echo "# $run: ${launcher:+mpirun }lockstep train $*"
    # shellcheck disable=SC2086 # launcher is a list of words
    limit 60 $launcher "$lockstep" train --results "$GPU_WORK/$run" "$@" >"$run.log" 2>&1 </dev/null
    code=$?
    sed 's/^/# | /' "$run.log"
    return $code
}
trained() { # as train; a failure is a case of its own
    train "$@" && return
    code=$?
    fail "the run $1 trains (exit code $code)" "$(grep '^lockstep:' "$1.log" | head -n 1)"
    return 1
}

# FILE.csv COLUMN [ROW]: a field, of the first row unless told; fields may be quoted (RFC 4180).
field() {
    awk -v name="$2" -v row="${3:-1}" '
        function split_row(text, out,   n, c, quoted, i) {
            n = 1; out[1] = ""; quoted = 0
            for (i = 1; i <= length(text); i++) {
                c = substr(text, i, 1)
                if (c == "\"") quoted = !quoted
                else if (c == "," && !quoted) out[++n] = ""
                else out[n] = out[n] c
            }
            return n
        }
        NR == 1 { n = split_row($0, names); for (i = 1; i <= n; i++) if (names[i] == name) column = i }
        NR == row + 1 && column { split_row($0, fields); print fields[column] }' "$1"
}

# "largest difference of the losses of the first STEPS steps, the step it is at, steps compared"
loss_difference() { # STEPS A/steps.csv B/steps.csv
    awk -F, -v most="$1" '
        FNR == 1 { file++; next }
        file == 1 { want[$1] = $3; next }
        FNR <= most + 1 {
            if (!($1 in want)) { print "inf", $1, FNR; exit }
            d = $3 - want[$1]; if (d < 0) d = -d
            if (d != d || $3 != $3 + 0) d = 1e30
            if (d > largest) { largest = d; at = $1 }
            n++
        }
        END { printf "%.3g %d %d\n", largest, at, n }' "$2" "$3"
}
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 <= b + 0) }'; }

# What --precision may be on this device: the widest first.
precisions() {
    [ "$device" = cuda ] && echo fp32 tf32 bf16 fp16 || echo fp32
}
# Ranks that share the one GPU, or the cores.
sharing() {
    echo "--threads 1 --oversubscribe$([ "$device" = cuda ] && echo ' --share-gpu')"
}

# A test program's TAP cases become this part's, and that it ran to its end.
run_tap() { # TITLE COMMAND...
    title=$1
    shift
    limit 60 "$@" >tap.log 2>&1 </dev/null
    code=$?
    sed -E -e "s,^(ok|not ok) [0-9]+ - ,\\1 - $title: ," -e '/^1\.\.[0-9]+$/d' tap.log
    if [ $code -eq 0 ] && grep -q '^ok' tap.log; then
        pass "$title ran to its end"
    else
        fail "$title ran to its end" "exit code $code" "$(grep -E '^(1\.\.0|Bail|lockstep)' tap.log | head -n 1)"
    fi
}
