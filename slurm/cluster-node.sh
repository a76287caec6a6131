#!/bin/sh
# What runs inside one node of the test cluster (see cluster.sh, which starts it in namespaces
# of its own): makes the machine look like node $2 and runs its slurmd.
#
#   cluster-node.sh STATE_DIR NODE CORES
set -eu
state=$1 node=$2 cores=$3

hostname "$node"
[ ! -f /etc/hosts ] || mount --bind "$state/hosts" /etc/hosts
# Shared memory is a node's own: two ranks on two nodes must not meet in it.
mount -t tmpfs -o mode=1777 "shm-$node" /dev/shm

# cluster.sh gives the node its end of the cable.
tries=0
until ip -4 address show dev eth0 2>/dev/null | grep -q 'inet '; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || { echo "$node: no network after 10 s" >&2; exit 1; }
    sleep 0.05
done

# slurmd is not the first process of this pid namespace: this shell is, and reaps what the
# tasks of a killed job leave behind. Tasks inherit the cores.
taskset -c "$cores" slurmd -D -N "$node" -f "$state/slurm.conf" &
wait $!
