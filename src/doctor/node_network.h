/* What the check of networks judges: apart, so that tests can give facts that this machine has
 * not. */
#ifndef LOCKSTEP_DOCTOR_NODE_NETWORK_H
#define LOCKSTEP_DOCTOR_NODE_NETWORK_H

#include "doctor/check.h"

enum { MOST_INTERFACES = 12 };

typedef struct network_interface {
    char name[16];
    uint32_t address, mask; /* IPv4, host order; 0 where there is none */
    int megabits;           /* a second; 0 unknown */
    int numa_node;          /* -1 unknown */
} network_interface;

typedef struct network_facts {
    int count;
    network_interface list[MOST_INTERFACES]; /* that are up, without loopback; one an address */
    bool has_ipv6;                           /* one that leads beyond this host and its links */
    int rdma;                                /* ports of /sys/class/infiniband that are active */
    char rdma_name[64];                      /* "mlx5_0, 200 Gb/sec, NUMA node 1" of the first */
    int cores_numa_node;
} network_facts;

void judge_network(const ward *all, finding *out);

#endif
