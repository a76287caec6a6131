# shellcheck shell=sh disable=SC2086,SC2154,SC2012
# The test cluster itself: clusters of their own, in the case's folder.

own_cluster() { sh "$repository/slurm/cluster.sh" "$@" --dir "$work/own"; }

nothing_behind() {
    [ ! -e "$work/own/run" ] || fail "state left in $work/own"
    for environment in /proc/[0-9]*/cmdline; do
        if tr '\0' ' ' <"$environment" 2>/dev/null | grep -q -F "$work/own"; then
            tr '\0' ' ' <"$environment"
            fail "a process is left"
        fi
    done
    ! grep -q -F "$work/own" /proc/mounts || fail "a mount is left"
    expect "network links" "$(ip -o link | wc -l)" "$links"
}

case_cluster_up_and_down() {
    links=$(ip -o link | wc -l)
    own_cluster up --nodes 3 --oversubscribe-cpus 2 --rate 1000
    own_cluster up | grep -q 'already up' || fail "a second up does something"
    (
        eval "$(own_cluster env)"
        expect "nodes" "$(srun -N3 -n3 hostname | sort | tr '\n' ' ')" "node1 node2 node3 "
        # A job in the background must not keep the cluster alive.
        sbatch --parsable -o /dev/null --wrap 'srun sleep 1000' >/dev/null
        sleep 1
    )
    own_cluster down
    nothing_behind
    ! own_cluster status || fail "status says up"
    own_cluster down | grep -q 'not up' || fail "a second down does something"
}

case_cluster_start_that_fails() {
    links=$(ip -o link | wc -l)
    mkdir broken
    printf '#!/bin/sh\nexit 1\n' >broken/slurmctld
    chmod +x broken/slurmctld
    code=0
    PATH=$PWD/broken:$PATH own_cluster up || code=$?
    expect "exit code" "$code" 1
    nothing_behind
    # Stopped half-way with no chance to clean up: down does it.
    PATH=$PWD/broken:$PATH timeout -s KILL 2 sh "$repository/slurm/cluster.sh" up --dir "$work/own" || true
    own_cluster down
    nothing_behind
}

case_cluster_refuses() {
    code=0
    capsh --drop=cap_sys_admin -- -c "sh '$repository/slurm/cluster.sh' up --dir '$work/own'" >out.txt 2>&1 || code=$?
    expect "exit code" "$code" 3
    expect "lines" "$(wc -l <out.txt)" 1
    code=0
    own_cluster up --nodes none 2>out.txt || code=$?
    expect "exit code" "$code" 2
}
