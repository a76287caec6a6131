# shellcheck shell=sh disable=SC2034,SC2154
# What the job scripts share: sourced by each, which sets `script` before, its name without `.sbatch`.
# Finds itself in `shared`, goes to the folder of submission and sets
#   lockstep   the binary: $LOCKSTEP, build/lockstep, or the PATH's
#   results    the folder of results: $LOCKSTEP_RESULTS (results), where the job's output goes
#   requeues   how often Slurm has begun this job again
#   nodes, ranks   what runs are to use: all that the job has but LOCKSTEP_SPARE_NODES (0), which take
#              the place of nodes that Slurm has found down or drains by the time that a run failed
# A script with checkpoints then sets `saves` (empty: its runs save nothing), calls `begin_runs`,
# defines `launch SRUN-OPTION...`, which starts one srun beside itself, and calls `run_through`.
# LOCKSTEP_RESTARTS (20): requeues and restarts of a job together.
shared=$(cd "$shared" && pwd)
folder=$PWD # of the job: where its output goes, and sbatch's --chdir
cd "${SLURM_SUBMIT_DIR:-.}"

lockstep=${LOCKSTEP:-}
[ -n "$lockstep" ] || { [ -x build/lockstep ] && lockstep=$PWD/build/lockstep; } || lockstep=lockstep
# From Slurm 22.05 on, srun no longer takes this over from sbatch.
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"

results=${LOCKSTEP_RESULTS:-results}
case $results in /*) ;; *) [ "$folder" = "$PWD" ] || results=$folder/$results ;; esac
mkdir -p "$results"

requeues=${SLURM_RESTART_COUNT:-0}
if [ "$requeues" -gt 0 ]; then
    echo
    echo "== $script.sbatch: job $SLURM_JOB_ID again, after $requeues requeue(s)"
fi

refuse() { echo "$script.sbatch: $*" >&2; exit 2; }
is_count() { case $1 in '' | *[!0-9]* | 0*) return 1 ;; esac; }

# Epochs of warm-up where LOCKSTEP_WARMUP_EPOCHS says nothing: a tenth of the run's, at the most MOST.
warm_up() { # EPOCHS MOST
    echo "${LOCKSTEP_WARMUP_EPOCHS:-$(awk -v epochs="$1" -v most="$2" 'BEGIN { print epochs / 10 < most ? epochs / 10 : most }')}"
}

spare=${LOCKSTEP_SPARE_NODES:-0} nodes=${SLURM_NNODES:-1}
ranks=${SLURM_NTASKS:-$nodes}
if [ "$spare" != 0 ]; then
    is_count "$spare" || refuse "LOCKSTEP_SPARE_NODES: expected a number, found '$spare'"
    [ "$spare" -lt "$nodes" ] || refuse "LOCKSTEP_SPARE_NODES: $spare of the job's $nodes node(s) leave none to train on"
    ranks=$(((nodes - spare) * (ranks / nodes))) nodes=$((nodes - spare))
fi

field() { # NAME of a field of this job: what Slurm says of it now
    scontrol show job -o "${SLURM_JOB_ID:-none}" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1
}

# ---- signals

# srun hands on USR1 and its like, but answers TERM by killing its tasks: so Slurm is to tell them.
# Where it ends the job itself it has done so, and where it does not answer, USR1 asks for the same.
# shellcheck disable=SC2317 # called by a trap
tell_to_end() {
    scancel --quiet --signal=TERM "$SLURM_JOB_ID" 2>/dev/null && return
    case $(field JobState) in RUNNING | '') kill -USR1 "$step" 2>/dev/null || : ;; esac
}

# A signal that the script gets is the step's; the one before the time limit only where the run saves
# its state for it: another has its whole time.
asked=0 step=''
begin_runs() {
    trap 'interrupted=1; [ -z "$saves" ] || { asked=1; kill -USR1 "$step" 2>/dev/null || :; }' USR1
    trap 'interrupted=1 asked=1; tell_to_end' TERM
    # For attempts.csv of the first run: how long the job has waited for its nodes since it was submitted,
    # or requeued.
    submitted=$(field SubmitTime) began=$(field StartTime)
    case "$submitted $began" in
    20*T*\ 20*T*) export LOCKSTEP_QUEUE_SECONDS="$(($(date -d "$began" +%s) - $(date -d "$submitted" +%s)))" ;;
    esac
}

# Sets `code`, the step's. A signal ends a `wait`, too, so that is asked again, and says 127 where it has
# told the step's code before.
wait_for_step() {
    step=$! interrupted=1 code=''
    while [ "$interrupted" = 1 ] && [ "$code" != 127 ]; do
        interrupted=0 before=$code code=0
        wait "$step" || code=$?
    done
    [ "$code" -ne 127 ] || code=${before:-127} # the step's own where nothing was told before
}

# ---- a run, and what follows its failure

# Nodes of the job in a state like PATTERN, with commas between them. A `*`: they do not answer.
nodes_that_are() { # PATTERN
    sinfo -h -N -n "${SLURM_JOB_NODELIST:-}" -o '%N %T' 2>/dev/null |
        awk -v pattern="$1" '$2 ~ pattern && !seen[$1]++ { printf "%s%s", (n++ ? "," : ""), $1 }'
}

# Sets `where` to the options of srun by which a run goes on without nodes that failed; false: too few are left.
choose_nodes() { # NODES RANKS
    for pattern in 'down|fail|drain|[*]' 'down|fail|[*]'; do
        bad=$(nodes_that_are "$pattern")
        [ -n "$bad" ] || { where=$(on_nodes "$1" "$2"); return; }
        left=$((${SLURM_NNODES:-1} - $(echo "$bad" | tr ',' '\n' | wc -l)))
        [ $left -lt "$1" ] || { where="$(on_nodes "$1" "$2") --exclude=$bad"; return; }
    done
    echo "not restarted: $bad failed, $left of the $1 node(s) that it needs are left"
    return 1
}

# Options of srun; none where the run takes all that the job has, shared out as sbatch was told.
on_nodes() { # NODES RANKS
    [ "$1:$2" = "${SLURM_NNODES:-1}:${SLURM_NTASKS:-${SLURM_NNODES:-1}}" ] ||
        echo "--nodes=$1 --ntasks=$2 --ntasks-per-node=$(($2 / $1))"
}

# After a failure: is the run to go on here? Nobody asked it to end, by a signal that it names with its
# code, and it was not refused (2, 3).
may_restart() { # NODES RANKS CHECKPOINTS
    case $code in 0 | 2 | 3 | 4 | 126 | 127 | 129 | 130 | 138 | 140 | 143 | 152) return 1 ;; esac
    [ -n "$saves" ] && [ $asked = 0 ] && [ -f "$3/last" ] && [ "$(field JobState)" = RUNNING ] || return 1
    if [ $((requeues + restarts)) -ge "${LOCKSTEP_RESTARTS:-20}" ]; then
        echo "not restarted after $((requeues + restarts)) times (LOCKSTEP_RESTARTS)"
        return 1
    elif [ "$(cat "$3/last")" = "$tried" ]; then
        echo "not restarted: it failed again, with no checkpoint since"
        return 1
    fi
    choose_nodes "$1" "$2"
}

# Sets `code`: `launch` with the options of srun for so many nodes and ranks, and again from the newest
# checkpoint in the folder CHECKPOINTS where it fails and may go on.
restarts=0
run_through() { # NODES RANKS CHECKPOINTS WHAT
    tried='' where=$(on_nodes "$1" "$2")
    while :; do
        # shellcheck disable=SC2086 # a list of options
        launch $where
        wait_for_step
        [ -z "${LOCKSTEP_QUEUE_SECONDS:-}" ] || LOCKSTEP_QUEUE_SECONDS=0
        may_restart "$1" "$2" "$3" || return 0
        restarts=$((restarts + 1)) tried=$(cat "$3/last")
        echo
        echo "== $script.sbatch: exit code $code; $4 goes on from $tried (restart $restarts)"
    done
}

# After exit code 4: the run was told to end, and has saved its state; so ends the job. One that Slurm is
# ending itself is none to requeue: it was cancelled, or has been requeued by a preemption.
end_job() { # what LOCKSTEP_RUN is to be where it goes on
    state=$(field JobState)
    if [ "$(field Restarts)" = $((requeues + 1)) ]; then
        echo "requeued by Slurm"
        exit 4
    elif [ "$state" != RUNNING ]; then
        echo "not requeued: Slurm says of the job '$state'"
    elif [ "$requeues" -ge "${LOCKSTEP_RESTARTS:-20}" ]; then
        echo "not requeued after $requeues times (LOCKSTEP_RESTARTS)"
    elif scontrol requeue "$SLURM_JOB_ID"; then
        exit 0 # Slurm ends the script before that
    fi
    echo "to go on: LOCKSTEP_RUN='$1' sbatch slurm/$script.sbatch"
    exit 4
}
