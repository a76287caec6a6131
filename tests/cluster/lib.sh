# shellcheck shell=sh disable=SC2154,SC2034
# What the cases share. Sourced by run.sh, which sets: repository, lockstep, data, work.

fail() { echo "** $*"; exit 1; }
skip() { echo "$*"; exit 77; }

expect() { # WHAT FOUND EXPECTED
    [ "$2" = "$3" ] || fail "$1: expected '$3', found '$2'"
}

expect_lines() { # FILE COUNT PATTERN
    found=$(grep -c -E -- "$3" "$1" || true)
    [ "$found" = "$2" ] || { cat "$1"; fail "$1: expected $2 line(s) like '$3', found $found"; }
}

# The single line that lockstep owes for a failure: once, whatever the number of ranks.
expect_one_line() { # FILE PATTERN
    expect_lines "$1" 1 '^lockstep: '
    expect_lines "$1" 1 "^lockstep: .*($2)"
}

# The interpreter itself: what the PATH has may be a script that looks for it, five times as slow.
python=$(python3 -c 'import sys; print(sys.executable)')

# Reads a CSV by column name: csv FILE COLUMN [ROW, from 1; or all]
csv() {
    "$python" -IS - "$@" <<'END'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
which = sys.argv[3] if len(sys.argv) > 3 else "1"
if rows and sys.argv[2] not in rows[0]:
    sys.exit(f"{sys.argv[1]}: no column {sys.argv[2]}; it has {', '.join(rows[0])}")
for row in rows if which == "all" else [rows[int(which) - 1]]:
    print(row[sys.argv[2]])
END
}

rows() { # FILE -> the number of rows below the header
    "$python" -IS -c 'import csv, sys; print(len(list(csv.DictReader(open(sys.argv[1], newline="")))))' "$1"
}

# True where the condition on numbers holds: holds '1.5 < 2 and abs(3 - 3.01) < 0.1'
holds() {
    "$python" -IS -c 'import sys; sys.exit(not eval(sys.argv[1]))' "$1" || fail "does not hold: $1"
}

# ---- jobs

# Submits a job script of ours as it is, from the case's folder, on the CPUs of the test cluster.
submit() { # [SBATCH-OPTION...] SCRIPT-NAME -> job id
    for last; do :; done
    options=$*
    options=${options%"$last"}
    # shellcheck disable=SC2086 # a list of options
    LOCKSTEP=${LOCKSTEP-$lockstep} LOCKSTEP_DATA=${LOCKSTEP_DATA-$data} \
        LOCKSTEP_DEVICE=${LOCKSTEP_DEVICE-cpu} LOCKSTEP_EPOCHS=${LOCKSTEP_EPOCHS-1} \
        LOCKSTEP_RESULTS=${LOCKSTEP_RESULTS-} LOCKSTEP_ARGS=${LOCKSTEP_ARGS-} \
        sbatch --parsable $options "$repository/slurm/$last.sbatch"
}

job_field() { # JOB FIELD
    scontrol show job -o "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1
}

wait_state() { # JOB SECONDS STATE-PATTERN
    left=$(($2 * 5))
    until job_field "$1" JobState | grep -q -x -E "$3"; do
        left=$((left - 1))
        [ $left -gt 0 ] || { cat "slurm-$1.out" 2>/dev/null; fail "job $1 is $(job_field "$1" JobState) after $2 s, not $3"; }
        sleep 0.2
    done
}

# A job that is requeued: Slurm keeps it back for two minutes, so that is taken from it once nothing of the
# attempt before is left, whose batch step would else report its end as the new one's, and in a later second
# than its end: slurmd refuses a credential that is no younger, and the job has failed.
begin_again() { # JOB
    wait_state "$1" 60 PENDING
    left=150
    while grep -q -s -a "^slurmstepd: .$1[.]" /proc/[0-9]*/cmdline; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "a step of job $1 does not end"
        sleep 0.2
    done
    sleep 2
    scontrol update "JobId=$1" StartTime=now
}

ended_states='COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY'

# Waits for a job's end and checks state and exit code ("CODE:SIGNAL" of scontrol).
expect_job() { # JOB SECONDS STATE EXIT-CODE
    wait_state "$1" "$2" "$ended_states"
    [ "$(job_field "$1" JobState)" = "$3" ] || cat "slurm-$1.out"
    expect "state of job $1" "$(job_field "$1" JobState)" "$3"
    expect "exit code of job $1" "$(job_field "$1" ExitCode)" "$4"
}

# Waits until training is on: a run's epochs.csv is there after its first epoch.
wait_training() { # RESULTS-FOLDER SECONDS [EPOCHS]
    left=$(($2 * 5))
    until [ -s "$1/epochs.csv" ] && [ "$(rows "$1/epochs.csv")" -ge "${3:-1}" ]; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "no epoch in $1/epochs.csv after $2 s"
        sleep 0.2
    done
}

# The options that a test's training has in common; a case adds mode, batch and results.
train="$lockstep train --data $data --model cnn --device cpu --seed 1 --learning-rate 1e-3"

# As many images as in $data, of a quarter of the pixels, for cases that are about many runs: in $work/small.
small_images() {
    [ -e "$work/small" ] ||
        "$lockstep" pack synthetic "$work/small" --images 1000 --test-images 300 --size 16 --seed 1 >/dev/null
}

# The process of a rank of a running step, seen from outside the nodes.
process_of_rank() { # RANK -> pid
    for status in /proc/[0-9]*/environ; do
        candidate=${status#/proc/}
        candidate=${candidate%/environ}
        [ "$(readlink "/proc/$candidate/exe" 2>/dev/null)" = "$(readlink -f "$lockstep")" ] || continue
        tr '\0' '\n' <"$status" 2>/dev/null | grep -q -x -E "(PMIX_RANK|SLURM_PROCID|OMPI_COMM_WORLD_RANK)=$1" || continue
        # Of this suite's jobs only.
        [ "$(readlink "/proc/$candidate/cwd")" = "$PWD" ] || continue
        echo "$candidate"
        return
    done
    fail "no process of rank $1"
}

# Nothing of a run is left: no process of ours in this case's folder, no temporary file.
expect_nothing_left() { # [FOLDER]
    left=25
    while :; do
        remaining=''
        for link in /proc/[0-9]*/exe; do
            [ "$(readlink "$link" 2>/dev/null)" = "$(readlink -f "$lockstep")" ] || continue
            [ "$(readlink "${link%/exe}/cwd" 2>/dev/null)" = "$PWD" ] || continue
            remaining="$remaining ${link%/exe}"
        done
        [ -n "$remaining" ] || break
        left=$((left - 1))
        [ $left -gt 0 ] || fail "processes that did not end:$remaining"
        sleep 0.2
    done
    [ -z "${1:-}" ] || [ ! -d "$1" ] ||
        [ -z "$(find "$1" -name '*.tmp*' -o -name '.*' -type f)" ] ||
        { find "$1"; fail "temporary files left in $1"; }
}

# Until it is waited for, a process that ended is still there, as a zombie.
ended() { # PID
    ! grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$1/status" 2>/dev/null
}

# Waits for a background process of the case to end by itself: sets code and took (seconds).
await() { # PID SECONDS
    began=$(date +%s)
    until ended "$1"; do
        [ $(($(date +%s) - began)) -lt "$2" ] || { cat out.txt; fail "it did not end within $2 s"; }
        sleep 0.2
    done
    code=0
    wait "$1" || code=$?
    took=$(($(date +%s) - began))
}

# Runs a command that is expected to fail; everything that it prints goes to the file.
expect_exit() { # CODE FILE COMMAND...
    wanted=$1 file=$2
    shift 2
    code=0
    timeout -k 5 60 "$@" >"$file" 2>&1 || code=$?
    [ "$code" -eq "$wanted" ] || { cat "$file"; fail "exit code $wanted expected, found $code: $*"; }
}
