#!/bin/sh
# Launches under mpirun and by hand, and ends of every kind: one line that says what happened, the
# right exit code on every rank that is left, nothing that waits. TAP on stdout.
#
#   PROBE=path/to/probe sh run.sh [CASE...]
set -u
# Whoever started the tests by nohup ignores SIGHUP, and so would the ranks.
[ -n "${LAUNCH_HEARS_HUP:-}" ] || LAUNCH_HEARS_HUP=1 exec env --default-signal=HUP sh "$0" "$@"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PROBE_OVERSUBSCRIBE=1
: "${PROBE:?the probe program}"
if ! command -v mpirun >/dev/null; then
    echo '1..0 # SKIP mpirun is not installed'
    exit 0
fi
# What a sanitised probe finds in the libraries below it.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}suppressions=$(cd "$(dirname "$0")" && pwd)/asan.txt
export ASAN_OPTIONS
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
number=0 failures=0 case_failed=0

complain() { case_failed=1; echo "# $1"; }

finish_case() { # NAME
    number=$((number + 1))
    if [ $case_failed -eq 0 ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        sed 's/^/#   stderr: /' "$folder/err"
        failures=$((failures + 1))
    fi
    case_failed=0
}

# Starts RANKS probes in the background. Recovery keeps mpirun from killing the ranks that are
# left: as under srun without -K, they must find their own end.
start() { # RANKS RECOVERY MODE [STEPS]
    ranks=$1 recovery=$2
    shift 2
    rm -rf "$folder/codes"
    mkdir "$folder/codes"
    : >"$folder/out"
    [ "$recovery" = recovery ] && set -- --enable-recovery "$PROBE" "$@" || set -- "$PROBE" "$@"
    PROBE_CODES=$folder/codes mpirun --oversubscribe -n "$ranks" "$@" \
        >"$folder/out" 2>"$folder/err" </dev/null &
    launcher=$!
}

wait_for_ranks() {
    tries=0
    while [ "$(grep -c '^training ' "$folder/out")" -lt "$ranks" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ]; then
            complain "the $ranks ranks did not come into training"
            return
        fi
        sleep 0.1
    done
}

pid_of() { sed -n "s/^rank $1 pid \([0-9]*\) .*/\1/p" "$folder/out"; }

wait_until_gone() { # SECONDS RANK...: the launcher and each of these ranks
    patience=$(($1 * 10))
    shift
    for rank in "$@"; do
        pid=$(pid_of "$rank")
        while kill -0 "$pid" 2>/dev/null && [ $patience -gt 0 ]; do
            sleep 0.1
            patience=$((patience - 1))
        done
    done
    [ $patience -gt 0 ] || complain "ranks $* are still there"
    for rank in $(seq 0 $((ranks - 1))); do
        pid=$(pid_of "$rank")
        [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
    done
    wait "$launcher"
}

expect_line() { # BASIC-REGULAR-EXPRESSION: the only line of lockstep's
    count=$(grep -c '^lockstep: ' "$folder/err")
    [ "$count" -eq 1 ] || complain "$count lines, expected one"
    grep -q "^lockstep: $1\$" "$folder/err" || complain "no line like: lockstep: $1"
}

expect_code() { # CODE RANK...: what each of these ranks left with
    code=$1
    shift
    for rank in "$@"; do
        found=$(cat "$folder/codes/$(pid_of "$rank")" 2>/dev/null)
        [ "$found" = "$code" ] || complain "rank $rank left with '$found', expected $code"
    done
}

# Without recovery mpirun itself kills what is left, after a second or at once, as it likes: a rank
# that still listens for orphans then writes nothing.
expect_code_unless_killed() { # CODE RANK...
    wanted=$1
    shift
    for rank in "$@"; do
        [ ! -s "$folder/codes/$(pid_of "$rank")" ] || expect_code "$wanted" "$rank"
    done
}

others() { # RANK: all ranks but this
    seq 0 $((ranks - 1)) | grep -vx "$1" | tr '\n' ' '
}

where='training, epoch 1, step [0-9]*'

case_steps() {
    for n in 1 2 3 4; do
        start $n plain steps 20
        wait "$launcher" || complain "$n ranks: exit code $?"
        [ "$(grep -c '^rank ' "$folder/out")" -eq $n ] || complain "$n ranks did not all start"
    done
    "$PROBE" steps 3 >"$folder/out" 2>"$folder/err" || complain "alone: exit code $?"
    grep -q 'rank 0 .* of 1 .* by alone' "$folder/out" || complain "it does not know it is alone"
    finish_case "steps on 1 to 4 ranks, and alone"
}

killed_rank() { # RANKS RANK RECOVERY
    start "$1" "$3" steps
    wait_for_ranks
    kill -KILL "$(pid_of "$2")"
    # shellcheck disable=SC2046
    wait_until_gone 5 $(others "$2")
    expect_line "rank $2 (host [^)]*) died in $where"
    # shellcheck disable=SC2046
    case $3 in
    recovery) expect_code 1 $(others "$2") ;;
    plain) expect_code_unless_killed 1 $(others "$2") ;;
    esac
    finish_case "SIGKILL of rank $2 of $1, $3"
}

case_killed() {
    killed_rank 2 0 recovery
    killed_rank 2 1 recovery
    killed_rank 3 0 recovery
    killed_rank 3 2 recovery
    killed_rank 2 1 plain
    killed_rank 3 0 plain
}

# Rank 2 must find out that no rank below it is left, and ranks above it that it is.
case_killed_with_its_deputy() {
    start 4 recovery steps
    wait_for_ranks
    kill -KILL "$(pid_of 0)" "$(pid_of 1)"
    wait_until_gone 6 2 3
    expect_line "rank 0 (host [^)]*) died in $where"
    expect_code 1 2 3
    finish_case "SIGKILL of ranks 0 and 1 of 4"
}

# The launcher is asked to kill the stopped rank, and with it goes the whole job.
stopped_rank() { # RANKS RANK
    export LOCKSTEP_SILENCE_SECONDS=3
    start "$1" plain steps
    unset LOCKSTEP_SILENCE_SECONDS
    wait_for_ranks
    kill -STOP "$(pid_of "$2")"
    # shellcheck disable=SC2046
    wait_until_gone 12 $(seq 0 $(($1 - 1)))
    expect_line "rank $2 (host [^)]*) has not answered for 3 s in $where"
    finish_case "SIGSTOP of rank $2 of $1"
}

case_stopped() {
    stopped_rank 2 1
    stopped_rank 3 0
}

case_hung() {
    export LOCKSTEP_STALL_SECONDS=6 # of set-up, too, which is slow on a busy machine
    start 2 recovery hang
    unset LOCKSTEP_STALL_SECONDS
    wait_for_ranks
    wait_until_gone 18 0 1
    grep -q '^lockstep: .*no progress.* in training, epoch 1, step 3$' "$folder/err" ||
        complain "no line about the stall"
    [ "$(grep -c '^lockstep: ' "$folder/err")" -eq 1 ] || complain "more than one line"
    expect_code 1 0 1
    finish_case "a rank that lives but makes no progress"
}

signalled_job() { # SIGNAL CODE
    start 3 recovery steps
    wait_for_ranks
    kill "-$1" "$(pid_of 0)" "$(pid_of 1)" "$(pid_of 2)"
    wait_until_gone 5 0 1 2
    expect_line "interrupted by SIG$1 in $where"
    expect_code "$2" 0 1 2
    finish_case "SIG$1 to every rank"
}

case_signalled() {
    signalled_job TERM 143
    signalled_job INT 130
    signalled_job USR1 138
    start 3 recovery steps
    wait_for_ranks
    kill -TERM "$(pid_of 2)"
    wait_until_gone 5 0 1 2
    expect_line "interrupted by SIGTERM in $where"
    expect_code 143 0 1 2
    finish_case "SIGTERM to one rank ends all"
}

case_failed() {
    start 3 recovery fail
    wait_until_gone 20
    expect_line "rank 1 (host [^)]*): the probe was told to fail"
    [ "$(sort -u "$folder"/codes/*)" = 1 ] || complain "not every rank left with 1"
    start 3 plain everyone
    wait "$launcher"
    expect_line 'the probe was told to fail'
    finish_case "several ranks that fail at once"
}

# MPI would have the launcher kill every rank before one of them could say why.
case_aborted() {
    for recovery in recovery plain; do
        start 3 $recovery abort
        wait_until_gone 20
        expect_line "rank 2 (host [^)]*): MPI ended the run with code 9: .*"
        [ "$(sort -u "$folder"/codes/*)" = 1 ] || complain "not every rank left with 1"
        finish_case "MPI_Abort of one rank, $recovery"
    done
}

# `pack` has no ranks: signals are caught all the same. A shell's background job ignores SIGINT
# until the program itself asks for it.
case_signalled_alone() {
    for each in TERM:143 INT:130 HUP:129 USR1:138 USR2:140 XCPU:152; do
        : >"$folder/out"
        "$PROBE" signals >"$folder/out" 2>"$folder/err" &
        alone=$!
        while ! grep -q '^rank' "$folder/out"; do sleep 0.05; done
        kill "-${each%:*}" $alone
        wait $alone
        found=$?
        [ $found -eq "${each#*:}" ] || complain "exit code $found, expected ${each#*:}"
        expect_line "interrupted by SIG${each%:*}"
    done
    finish_case "signals to a process that launches nothing"
}

# srun without PMIx, as a task sees it.
case_without_pmix() {
    for rank in 0 1; do
        env SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=$rank "$PROBE" steps 1 \
            >"$folder/out" 2>"$folder/err"
        found=$?
        [ $found -eq 3 ] || complain "task $rank: exit code $found, expected 3"
        [ $rank -eq 1 ] || expect_line '.*srun --mpi=pmix.*'
    done
    [ ! -s "$folder/err" ] || complain "task 1 said something too"
    env SLURM_JOB_ID=7 SLURM_NTASKS=2 SLURM_PROCID=0 "$PROBE" steps 1 >"$folder/out" \
        2>"$folder/err" || complain "a batch script's own process: exit code $?"
    env SLURM_STEP_ID=4294967291 SLURM_NTASKS=2 SLURM_PROCID=0 "$PROBE" steps 1 >"$folder/out" \
        2>"$folder/err" || complain "a batch step's own process: exit code $?"
    finish_case "srun without PMIx"
}

case_binding() {
    unset PROBE_OVERSUBSCRIBE
    cores=$("$PROBE" steps 1 | sed -n 's/.* threads \([0-9]*\).*/\1/p')
    start $((cores + 1)) plain steps 1
    wait "$launcher"
    expect_line '.*would stand on one core.*--oversubscribe'
    export PROBE_OVERSUBSCRIBE=1
    start $((cores + 1)) plain steps 1
    wait "$launcher" || complain "exit code $? although it is allowed"
    grep -q 'oversubscribed' "$folder/out" || complain "it is not marked"
    finish_case "more ranks than cores"
}

# Two cores on two NUMA nodes, as hwloc is told; the GPU of local rank 0 is on the second.
case_binding_near_gpus() {
    if ! taskset -c 0 true 2>/dev/null || ! taskset -c 1 true 2>/dev/null; then
        number=$((number + 1))
        echo "ok $number - cores near GPUs # SKIP processing units 0 and 1 are needed"
        return
    fi
    unset PROBE_OVERSUBSCRIBE
    for each in '1 0:1:0' '0 1:0:1' '- -:0:1'; do
        cat >"$folder/probe" <<END
#!/bin/sh
unset HWLOC_XMLFILE
export HWLOC_SYNTHETIC='numa:2 core:1 pu:1' HWLOC_THISSYSTEM=1 PROBE_GPU_NODES='${each%%:*}'
exec "$PROBE" steps 1
END
        chmod +x "$folder/probe"
        taskset -c 0,1 mpirun --oversubscribe --bind-to none -n 2 "$folder/probe" \
            >"$folder/out" 2>"$folder/err" </dev/null || complain "exit code $?"
        cores=${each#*:}
        grep -q "^rank 0 .* cores ${cores%:*} threads 1$" "$folder/out" &&
            grep -q "^rank 1 .* cores ${cores#*:} threads 1$" "$folder/out" ||
            complain "GPUs on nodes ${each%%:*}: $(cat "$folder/out")"
    done
    export PROBE_OVERSUBSCRIBE=1
    finish_case "cores near GPUs"
}

# Before MPI, where no lifeline stands yet: ranks that are late for the start-up deadline, for they
# sleep, or were stopped, before the program begins.
late_start() { # DEADLINE RANKS COMMAND-OF-THE-LATE LATE-RANK...
    deadline=$1 ranks=$2 command=$3
    shift 3
    cat >"$folder/late" <<END
#!/bin/sh
case ' $* ' in *" \$PMIX_RANK "*) $command ;; esac
exec "$PROBE" steps 2
END
    chmod +x "$folder/late"
    LOCKSTEP_START_SECONDS=$deadline timeout 60 mpirun --oversubscribe -n "$ranks" "$folder/late" \
        >"$folder/out" 2>"$folder/err" </dev/null
    found=$?
}

# On a busy machine the others are late, too, for a short deadline: a longer one is tried then.
expect_missing() { # WHICH-OF-HOW-MANY NAMES RANKS COMMAND-OF-THE-LATE LATE-RANK...
    counts=$1 names=$2
    shift 2
    for seconds in 1 4 16; do
        late_start $seconds "$@"
        wanted="$counts ranks did not arrive within $seconds s: $names: .*LOCKSTEP_START_SECONDS"
        ! grep -q "^lockstep: $wanted\$" "$folder/err" || break
    done
    [ $found -eq 3 ] || complain "exit code $found, expected 3"
    expect_line "$wanted"
}

case_late() {
    expect_missing '1 of 3' 'rank 1 (host [^)]*)' 3 'kill -STOP $$' 1
    expect_missing '2 of 4' 'rank 0 (host [^)]*), rank 2 (host [^)]*)' 4 'sleep 100' 0 2
    late_start 30 2 'sleep 1.5' 1
    [ $found -eq 0 ] || complain "in time: exit code $found"
    [ "$(grep -c '^rank ' "$folder/out")" -eq 2 ] || complain "in time: two ranks did not start"
    finish_case "ranks that do not arrive"
}

all='steps late binding binding_near_gpus without_pmix signalled_alone failed aborted signalled killed killed_with_its_deputy stopped hung'
for name in ${*:-$all}; do
    "case_$name"
done
echo "1..$number"
[ $failures -eq 0 ]
