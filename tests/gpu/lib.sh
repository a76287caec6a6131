# shellcheck shell=sh disable=SC2034 # the parts use what is set here
# Sourced by every part. gpu.sh has exported GPU_TOP (the tree or the bundle), GPU_WORK (scratch,
# removed at the end), GPU_PART (the part's name), GPU_DEVICE, GPU_QUICK (yes: small sizes), GPU_END
# (when this part must have ended, in seconds since the epoch), GPU_PATIENCE (a factor on all limits),
# GPU_PID (gpu.sh's).
#
# A part prints TAP cases (`ok - what`, `not ok - what`, `ok - what # SKIP why`), everything else
# for the log, each line as soon as it is known. Each case says what held. A part writes nothing into
# OUT: a table for the report goes to $GPU_WORK/PART.md, rows of a CSV file of OUT (with its header)
# to $GPU_WORK under the file's name, and gpu.sh takes them over when the part has ended.
#
# What is skipped for want of time says `no time: ...`, so that --resume tries it again.
set -u
device=$GPU_DEVICE
cd "$GPU_WORK" || exit 1

# Where gpu.sh is killed, its parts are not (`timeout` gives each a process group of its own): this
# one and its programs then end themselves, and leave nothing behind. It holds none of the part's
# files open, and ends with the part.
end_with_gpu_sh() {
    while kill -0 "$GPU_PID" 2>/dev/null; do
        kill -0 $$ 2>/dev/null || return
        sleep 1
    done
    for pid in $(cat running 2>/dev/null); do kill -KILL -- "-$pid" 2>/dev/null; done
    rm -rf "$GPU_WORK"
    kill -KILL 0
}
: >running
end_with_gpu_sh >/dev/null 2>&1 </dev/null &

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
fail() { # WHAT DETAIL...: the details stand in the report too
    failed="not ok - $1"
    shift
    for detail; do [ -z "$detail" ] || failed="$failed; $detail"; done
    echo "$failed"
}
skip() { echo "ok - $1 # SKIP $2"; }
no_time() { skip "$1" "no time: ${2:-what there was is used up}"; }
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
    timeout -k 3 "$seconds" "$@" </dev/null &
    echo $! >>running
    wait $!
}
seconds_left() { echo $(((GPU_END - $(date +%s) - 4) / GPU_PATIENCE)); }

# Runs a command within `limit`; its lines stand in LOG, and at once, changed by a sed expression, in
# what the part prints. Returns its exit code.
streamed() { # LOG EXPRESSION SECONDS COMMAND...
    stream=$1 expression=$2
    shift 2
    {
        limit "$@"
        echo $? >"$stream.code"
    } 2>&1 | tee "$stream" | sed -u -E "$expression"
    return "$(cat "$stream.code")"
}

have_mpirun() { [ -x "$mpirun" ]; }
start_ranks() { # RANKS: the launcher's words
    echo "$mpirun --oversubscribe --bind-to none -n $1"
}

# Generated images, made once: DATA-FOLDER of that many.
data_of() { # TRAINING-IMAGES TEST-IMAGES
    folder=$GPU_WORK/data-$1-$2
    if [ ! -d "$folder" ]; then
        rm -rf "$folder.new"
        limit 60 "$lockstep" pack synthetic "$folder.new" --images "$1" --test-images "$2" --seed 3 >/dev/null &&
            mv "$folder.new" "$folder" || return
    fi
    echo "$folder"
}

# On a busy machine of few cores (--quick) one thread is faster than two that wait for each other.
threads() { quickly "" "--threads 1"; }

# Trains; the results lie in NAME/, what it printed in NAME.log, plans (engines, algorithms) included.
# Returns the exit code. most_seconds: the most that a run may take, where that is not 60.
train() { # NAME RANKS OPTION...; RANKS 0: without a launcher
    run=$1 launcher=''
    [ "$2" -eq 0 ] || launcher=$(start_ranks "$2")
    shift 2
    # shellcheck disable=SC2046
    case " $* " in *' --threads '*) ;; *) set -- "$@" $(threads) ;; esac
    case "${way_options:-} $*" in *--no-graph*--no-graph*) ;; *) set -- "$@" ${way_options:+"$way_options"} ;; esac
    rm -rf "${GPU_WORK:?}/$run"
    echo "# $run: ${launcher:+mpirun }lockstep train $*"
    # shellcheck disable=SC2086 # launcher is a list of words
    streamed "$run.log" 's/^/# | /' "${most_seconds:-60}" $launcher "$lockstep" train --verbose --results "$GPU_WORK/$run" "$@"
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
mean_loss() { awk -F, 'NR > 1 { sum += $3 } END { printf "%.6f", sum / (NR - 1) }' "$1/steps.csv"; }
mean_follows() { # WHAT CPU-RUN DEVICE-RUN ALLOWED
    apart=$(awk -v a="$(mean_loss "$2")" -v b="$(mean_loss "$3")" 'BEGIN { d = a - b; print d < 0 ? -d : d }')
    if at_most "$apart" "$4"; then
        pass "$1: the mean of the losses on $device is cpu's"
    else
        fail "$1: the mean of the losses on $device is cpu's" "$apart apart, $4 allowed"
    fi
}
# A narrow type: bf16 keeps 8 bits, so a loss of 2.3 moves by up to 2^-8 of it (0.009) at the start;
# afterwards the run is another one, but its loss averages to the same (0.05: a fiftieth).
follows_fp32() { # PRECISION CPU-RUN DEVICE-RUN
    first=$(loss_difference 5 "$2/steps.csv" "$3/steps.csv")
    if at_most "${first%% *}" 0.009; then
        pass "$1 on $device: the first 5 losses are those of fp32 on cpu (${first%% *} apart, 0.009 allowed)"
    else
        fail "$1 on $device: the first 5 losses are those of fp32 on cpu" "${first%% *} apart, 0.009 allowed"
    fi
    mean_follows "$1" "$2" "$3" 0.05
}
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 <= b + 0) }'; }

# first.sh writes down what the device must not use, where it trains no other way; for all parts.
# shellcheck source=/dev/null
[ ! -f way ] || . ./way

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
    streamed tap.log "s,^(ok|not ok) [0-9]+ - ,\\1 - $title: ,; /^1\\.\\.[0-9]+\$/d" 60 "$@"
    code=$?
    if [ $code -eq 0 ] && grep -q '^ok' tap.log; then
        pass "$title ran to its end"
    else
        fail "$title ran to its end" "exit code $code (124: stopped for time) after $(grep -c '^ok' tap.log) cases" "$(grep -E '^(1\.\.0|Bail|lockstep)' tap.log | head -n 1)"
    fi
}

# Trains on the device that is to be tested; where it is not there, the other parts have nothing to do.
trained_first() { # as trained
    train "$@" && return
    code=$?
    line=$(grep -E '^lockstep: |error while loading' "$1.log" | head -n 1)
    case $code in 3 | 127) echo "${line:-exit code $code}" | sed 's/^lockstep: //' >no-device ;; esac
    fail "$device opens and trains (exit code $code): $line"
    return 1
}
