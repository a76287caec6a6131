#!/bin/sh
# A real Slurm cluster on one machine, for tests and for a first look: munge, slurmctld and a
# slurmd a node, each node in its own network, mount, host-name and process namespaces, joined
# by a bridge. Each node declares a GPU that is not there (type a100), so that the job scripts
# run unchanged; export LOCKSTEP_DEVICE=cpu with it.
#
#   cluster.sh up [options]    start it (nothing to do when it is up)
#   cluster.sh down            stop it and leave nothing behind
#   cluster.sh status          say whether it answers (exit code 0) or not (1)
#   cluster.sh env             print what a shell needs: eval "$(sh slurm/cluster.sh env)"
#
#   --dir DIR                where its state lives; every node must see it
#                            (default: lockstep-cluster under $XDG_RUNTIME_DIR or /run)
#   --nodes N                number of nodes (2)
#   --cores-per-node N       cores that a node's tasks may use (the machine's, divided)
#   --oversubscribe-cpus N   CPUs that a node declares to Slurm (its cores)
#   --rate MBIT              limit each node's network to this many Mbit/s (no limit)
#   --first-job-id N         number of the first job (1)
#
# Exit codes: 1 it failed, 2 bad use, 3 this user or machine may not make namespaces, or a
# program is missing. It needs root, touches no system service, and keeps its own munge key.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
nodes=2 cores_per_node='' declared='' rate='' first_job_id=1
state=${XDG_RUNTIME_DIR:-/run}/lockstep-cluster

fail() { echo "cluster.sh: $2" >&2; exit "$1"; }

need_number() {
    case $2 in '' | *[!0-9]* | 0*) fail 2 "$1: expected a number above 0, found '$2'" ;; esac
}

verb=${1:-}
[ $# -eq 0 ] || shift
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail 2 "$1: unknown option, or its value is missing"
    case $1 in
    --dir) state=$2 ;;
    --nodes) need_number "$1" "$2"; nodes=$2 ;;
    --cores-per-node) need_number "$1" "$2"; cores_per_node=$2 ;;
    --oversubscribe-cpus) need_number "$1" "$2"; declared=$2 ;;
    --rate) need_number "$1" "$2"; rate=$2 ;;
    --first-job-id) need_number "$1" "$2"; first_job_id=$2 ;;
    *) fail 2 "unknown option '$1'" ;;
    esac
    shift 2
done
case $state in /*) ;; *) state=$PWD/$state ;; esac
# A Unix socket's path has 107 characters, and Slurm adds names of its own to this one.
[ ${#state} -le 60 ] || fail 2 "--dir: '$state' is too long for the sockets in it (60 characters)"
[ "$nodes" -le 16 ] || fail 2 "--nodes: at most 16, found $nodes"
export SLURM_CONF="$state/slurm.conf"

# ---- processes: each is recorded with its start time, so that a number that the system has
# since given to another process is never killed.

started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

record() { echo "$1 $(started_at "$1")" >"$state/run/$2"; }

alive() { # NAME
    [ -f "$state/run/$1" ] || return 1
    read -r pid since <"$state/run/$1" || return 1
    [ -n "$since" ] && [ "$(started_at "$pid")" = "$since" ]
}

stop() { # NAME SIGNAL
    alive "$1" || return 0
    kill "-$2" "$pid" 2>/dev/null || true
}

wait_gone() { # NAME TENTHS
    left=$2
    while alive "$1"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.1
    done
}

# Starts a daemon that holds on to nothing of ours: not the terminal, not the pipes, not the lock.
daemon() { # NAME COMMAND...
    name=$1
    shift
    setsid "$@" </dev/null >"$state/log/$name.log" 2>&1 9>&- &
    record $! "$name"
}

# ---- the network: number i of the instance gives the bridge lockstep<i> on 198.18.<i>.0/24
# (a range set aside for bench networks) and the ports.

# Who makes the bridge has the number: another cluster may look for one at the same time, and one
# in another root has the same path.
choose_instance() {
    instance=$(printf %s "$state" | cksum | cut -d ' ' -f 1)
    instance=$((instance % 200 + 20))
    tries=0
    until ! ip -4 route show | grep -q "^198\.18\.$instance\." &&
        ip link add "lockstep$instance" type bridge 2>/dev/null; do
        instance=$((instance % 235 + 1))
        tries=$((tries + 1))
        [ $tries -lt 50 ] || fail 1 "no free network under 198.18.0.0/16"
    done
    echo "$instance" >"$state/run/instance"
}

limit_rate() { # COMMAND-PREFIX... DEVICE
    [ -n "$rate" ] || return 0
    "$@" root tbf rate "${rate}mbit" burst 256kb latency 50ms
}

connect_node() { # K PID
    cable="ls$instance-$1"
    ip link add "$cable" type veth peer name eth0 netns "$2"
    ip link set "$cable" master "lockstep$instance" up
    limit_rate tc qdisc add dev "$cable"
    nsenter --target "$2" --net sh -euc "
        ip link set lo up
        ip address add 198.18.$instance.$((10 + $1))/24 dev eth0
        ip link set eth0 up"
    limit_rate nsenter --target "$2" --net tc qdisc add dev eth0
}

# ---- the machine's cores, divided among the nodes

allowed_cores() { # one number a line
    taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | while IFS=- read -r low high; do
        seq "$low" "${high:-$low}"
    done
}

node_cores() { # K -> a list for taskset
    allowed_cores | awk -v k="$1" -v each="$cores_per_node" '
        { core[NR - 1] = $1 }
        END {
            for (i = 0; i < each && i < NR; i++)
                printf "%s%s", (i ? "," : ""), core[((k - 1) * each + i) % NR]
        }'
}

# ---- configuration

write_configuration() {
    memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
    {
        echo '127.0.0.1 localhost'
        # With this machine's own name, too: Slurm 24.11 answers srun at the name of its host.
        echo "198.18.$instance.1 ctl $(hostname)"
        for k in $(seq "$nodes"); do echo "198.18.$instance.$((10 + k)) node$k"; done
    } >"$state/hosts"
    cat >"$state/slurm.conf" <<END
ClusterName=lockstep
SlurmctldHost=ctl(198.18.$instance.1)
SlurmctldPort=$((26000 + 2 * instance))
SlurmdPort=$((26001 + 2 * instance))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$state/munge/socket
CryptoType=crypto/munge
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/linux
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
ReturnToService=2
KillWait=10
SchedulerParameters=batch_sched_delay=0
FirstJobId=$first_job_id
StateSaveLocation=$state/ctl
SlurmctldPidFile=$state/ctl/slurmctld.pid
SlurmdPidFile=$state/%n/slurmd.pid
SlurmdSpoolDir=$state/%n/spool
# The PMIx plugin makes a folder named after the step here: it must be a node's own.
TmpFS=$state/%n/tmp
# A node may declare more CPUs than it has.
SlurmdParameters=config_overrides
# A job in "urgent" has those in "main" requeued, where it needs their place.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=node[1-$nodes] Default=YES MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=node[1-$nodes] PriorityTier=2 MaxTime=INFINITE State=UP
END
    : >"$state/gres.conf"
    for k in $(seq "$nodes"); do
        mkdir -p "$state/node$k/spool" "$state/node$k/tmp"
        chmod 1777 "$state/node$k/tmp"
        # Slurm wants some device file for a GPU, and asks nothing of it.
        echo "NodeName=node$k Name=gpu Type=a100 File=/dev/null" >>"$state/gres.conf"
        echo "NodeName=node$k NodeAddr=198.18.$instance.$((10 + k)) CPUs=$declared" \
            "RealMemory=$((memory / nodes)) Gres=gpu:a100:1 State=UNKNOWN" >>"$state/slurm.conf"
    done
}

# ---- verbs

answers() {
    nodes_idle=$(timeout 10 sinfo -h -p main -t idle,alloc,mix,comp -o '%D' 2>/dev/null |
        awk '{ n += $1 } END { print n + 0 }')
    [ "$nodes_idle" = "$(cat "$state/run/nodes" 2>/dev/null)" ]
}

is_up() {
    alive munged && alive slurmctld && [ -f "$state/run/nodes" ] || return 1
    for k in $(seq "$(cat "$state/run/nodes")"); do alive "node$k" || return 1; done
    answers
}

check_allowed() {
    for program in munged slurmctld slurmd ip tc nsenter unshare taskset flock setsid; do
        command -v "$program" >/dev/null ||
            fail 3 "'$program' is not installed (sh slurm/packages.sh cluster, as root)"
    done
    [ "$(id -u)" -eq 0 ] || fail 3 "namespaces for the nodes need root; this is user $(id -un)"
    why=$(unshare --net --uts --mount --pid --fork --propagation private \
        mount -t tmpfs none /dev/shm 2>&1) ||
        fail 3 "this machine does not allow namespaces: ${why:-unshare failed}"
    why=$(ip link add "lsprobe$$" type bridge 2>&1 && ip link delete "lsprobe$$") ||
        fail 3 "this machine does not allow a network bridge: $why"
}

# What has been started as the daemon WHAT is not waited for once it has ended.
wait_for() { # TENTHS WHAT COMMAND...
    left=$1 what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ ! -f "$state/run/$what" ] || alive "$what" || left=0
        [ $left -gt 0 ] || { echo "cluster.sh: $what did not come up; its logs: $state/log" >&2; return 1; }
        sleep 0.1
    done
}

listening() { ss -Hltn "sport = :$((26000 + 2 * instance))" | grep -q .; }

own_network() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

start() {
    cores=$(allowed_cores | wc -l)
    [ -n "$cores_per_node" ] || cores_per_node=$((cores / nodes > 0 ? cores / nodes : 1))
    [ -n "$declared" ] || declared=$cores_per_node
    rm -rf "$state/munge" "$state/ctl" "$state"/node[0-9]* "$state/log"
    mkdir -p "$state/log" "$state/ctl" "$state/munge"
    choose_instance
    echo "$nodes" >"$state/run/nodes"
    write_configuration

    (umask 077 && head -c 128 /dev/urandom >"$state/munge/key")
    daemon munged munged --foreground --force --key-file="$state/munge/key" \
        --socket="$state/munge/socket" --pid-file="$state/munge/pid" \
        --log-file="$state/log/munged-own.log" --seed-file="$state/munge/seed"

    ip address add "198.18.$instance.1/24" dev "lockstep$instance"
    ip link set "lockstep$instance" up
    for k in $(seq "$nodes"); do
        # When the recorded process is killed, the kernel ends every process of the node.
        daemon "node$k" unshare --net --uts --mount --pid --fork --kill-child --mount-proc \
            --propagation private sh "$here/cluster-node.sh" "$state" "node$k" "$(node_cores "$k")"
    done
    wait_for 50 munged test -S "$state/munge/socket"
    # shellcheck disable=SC2016 # expanded by the inner shell
    daemon slurmctld unshare --uts --mount --propagation private sh -euc '
        hostname ctl
        [ ! -f /etc/hosts ] || mount --bind "$1/hosts" /etc/hosts
        exec slurmctld -D -f "$1/slurm.conf"' ctl "$state"
    for k in $(seq "$nodes"); do
        read -r pid since <"$state/run/node$k"
        wait_for 50 "node$k" own_network "$pid"
        connect_node "$k" "$pid"
    done
    wait_for 100 slurmctld listening
    wait_for 200 "the cluster" answers
}

up() {
    check_allowed
    mkdir -p "$state/run" || fail 1 "cannot make '$state'"
    exec 9>"$state/lock"
    flock -w 60 9 || fail 1 "another cluster.sh works on '$state'"
    if is_up; then
        echo "cluster.sh: already up ($(cat "$state/run/nodes") nodes, $state)"
        return 0
    fi
    tear_down
    mkdir -p "$state/run"
    trap abandon EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    start
    trap - EXIT INT TERM HUP
    echo "cluster.sh: up, $nodes nodes; for this shell: eval \"\$(sh slurm/cluster.sh env)\""
}

abandon() { # the start stopped half-way, by a failure or a signal
    code=$?
    trap - EXIT INT TERM HUP
    tail -n 3 "$state"/log/*.log >&2 2>/dev/null || true
    tear_down
    [ $code -gt 128 ] || echo "cluster.sh: the cluster did not come up" >&2
    exit $code
}

# Also after a start that got half-way: whatever was recorded goes, whatever is absent is no error.
tear_down() {
    [ -d "$state/run" ] || return 0
    for daemon in "$state"/run/node*[0-9]; do
        [ -f "$daemon" ] || continue
        stop "${daemon##*/}" KILL
    done
    stop slurmctld TERM
    wait_gone slurmctld 30 || stop slurmctld KILL
    stop munged TERM
    wait_gone munged 20 || stop munged KILL
    for daemon in "$state"/run/node*[0-9]; do
        [ -f "$daemon" ] || continue
        wait_gone "${daemon##*/}" 50 || echo "cluster.sh: ${daemon##*/} does not end" >&2
    done
    if read -r instance 2>/dev/null <"$state/run/instance"; then
        for cable in $(ip -o link show master "lockstep$instance" 2>/dev/null |
            sed 's/^[0-9]*: \([^@:]*\).*/\1/'); do
            ip link delete "$cable" 2>/dev/null || true
        done
        ip link delete "lockstep$instance" 2>/dev/null || true
    fi
    rm -rf "$state/run" "$state/munge" "$state/ctl" "$state"/node[0-9]* "$state/hosts" \
        "$state/slurm.conf" "$state/gres.conf"
}

down() {
    [ -d "$state/run" ] || { echo "cluster.sh: not up ($state)"; return 0; }
    [ "$(id -u)" -eq 0 ] || fail 3 "stopping the cluster needs root"
    exec 9>"$state/lock"
    flock -w 60 9 || fail 1 "another cluster.sh works on '$state'"
    tear_down
    rm -rf "$state/log" "$state/lock"
    rmdir "$state" 2>/dev/null || true
    echo "cluster.sh: down"
}

case $verb in
up) up ;;
down) down ;;
status)
    if is_up; then
        echo "up: $state"
        sinfo -h -p main -N -o '%N %T cpus=%c %G'
    else
        echo "down: $state"
        exit 1
    fi
    ;;
env)
    is_up || fail 1 "not up ($state)"
    echo "export SLURM_CONF='$SLURM_CONF'"
    ;;
*) fail 2 "expected up, down, status or env, found '$verb'" ;;
esac
