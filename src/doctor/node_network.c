/* By which interfaces the hosts can reach each other. */
#include "doctor/node_network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const int SLOW_MEGABITS = 1000;

/* ---- examining */

static int read_number(const char *path, int otherwise) {
    int value = otherwise;
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%d", &value) != 1)
        value = otherwise;
    if (file)
        fclose(file);
    return value;
}

static void read_line(const char *path, char *out, size_t capacity) {
    FILE *file = fopen(path, "r");
    out[0] = '\0';
    if (file && fgets(out, (int)capacity, file))
        out[strcspn(out, "\n")] = '\0';
    if (file)
        fclose(file);
}

/* ethtool's old request needs no privilege, and asks in this network namespace, where sysfs may
 * show another. */
static int speed_of(int descriptor, const char *name) {
    struct ethtool_cmd command = {.cmd = ETHTOOL_GSET};
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    request.ifr_data = (char *)&command;
    if (ioctl(descriptor, SIOCETHTOOL, &request) != 0)
        return 0;
    /* ethtool_cmd_speed() shifts an unknown speed, 0xffff, into the sign. */
    unsigned speed = (unsigned)command.speed_hi << 16 | command.speed;
    return speed == (unsigned)SPEED_UNKNOWN || speed > 10000000 ? 0 : (int)speed;
}

static void list_interfaces(network_facts *out) {
    struct ifaddrs *all = NULL;
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (getifaddrs(&all) != 0)
        all = NULL;
    for (struct ifaddrs *each = all; each && out->count < MOST_INTERFACES; each = each->ifa_next) {
        char path[96];
        if (!each->ifa_addr || !(each->ifa_flags & IFF_UP) || (each->ifa_flags & IFF_LOOPBACK))
            continue;
        if (each->ifa_addr->sa_family == AF_INET6) {
            const struct sockaddr_in6 *six = (void *)each->ifa_addr;
            out->has_ipv6 = out->has_ipv6 || !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
        }
        if (each->ifa_addr->sa_family != AF_INET || !each->ifa_netmask)
            continue;
        network_interface *one = &out->list[out->count++];
        snprintf(one->name, sizeof one->name, "%.15s", each->ifa_name);
        one->address = ntohl(((struct sockaddr_in *)(void *)each->ifa_addr)->sin_addr.s_addr);
        one->mask = ntohl(((struct sockaddr_in *)(void *)each->ifa_netmask)->sin_addr.s_addr);
        one->megabits = descriptor >= 0 ? speed_of(descriptor, one->name) : 0;
        snprintf(path, sizeof path, "/sys/class/net/%s/device/numa_node", one->name);
        one->numa_node = read_number(path, -1);
    }
    if (all)
        freeifaddrs(all);
    if (descriptor >= 0)
        close(descriptor);
}

int count_rdma(char *first, size_t capacity) {
    int count = 0;
    static const char folder[] = "/sys/class/infiniband";
    DIR *ports = opendir(folder);
    for (struct dirent *each; ports && (each = readdir(ports));) {
        char path[384], text[32];
        if (each->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s/ports/1/state", folder, each->d_name);
        read_line(path, text, sizeof text);
        if (!strstr(text, "ACTIVE"))
            continue;
        if (count++)
            continue;
        snprintf(path, sizeof path, "%s/%s/ports/1/rate", folder, each->d_name);
        read_line(path, text, sizeof text);
        text[strcspn(text, "(")] = '\0';
        snprintf(path, sizeof path, "%s/%s/device/numa_node", folder, each->d_name);
        snprintf(first, capacity, "%.15s, %.20s, NUMA node %d", each->d_name, text,
                 read_number(path, -1));
    }
    if (ports)
        closedir(ports);
    return count;
}

static int examine(examination *self, void *facts, ls_error *error) {
    network_facts *mine = facts;
    (void)error;
    mine->cores_numa_node = self->binding ? self->binding->numa_node : -1;
    list_interfaces(mine);
    mine->rdma = count_rdma(mine->rdma_name, sizeof mine->rdma_name);
    return LS_OK;
}

/* ---- judging: the first rank of a node speaks for it */

static const char *describe(const network_interface *self) {
    static char text[96];
    char speed[32] = "of unknown speed", node[32] = "";
    if (self->megabits)
        snprintf(speed, sizeof speed, "%g Gbit/s", self->megabits / 1000.0);
    if (self->numa_node >= 0)
        snprintf(node, sizeof node, ", NUMA node %d", self->numa_node);
    snprintf(text, sizeof text, "%s %s%s", self->name, speed, node);
    return text;
}

static const char *address_text(uint32_t address) {
    static char text[INET_ADDRSTRLEN];
    struct in_addr in = {.s_addr = htonl(address)};
    inet_ntop(AF_INET, &in, text, sizeof text);
    return text;
}

/* Two hosts with one address: a bridge of containers or virtual machines, which leads nowhere. */
static bool is_a_trap(const network_interface *a, const network_interface *b) {
    return a->address == b->address;
}

/* The fastest of A's interfaces that is on a network of B's; NULL where there is none. */
static const network_interface *best_between(const network_facts *a, const network_facts *b) {
    const network_interface *best = NULL;
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++) {
            const network_interface *mine = &a->list[i], *theirs = &b->list[j];
            bool same = mine->mask == theirs->mask &&
                        (mine->address & mine->mask) == (theirs->address & theirs->mask);
            if (same && !is_a_trap(mine, theirs) && (!best || mine->megabits > best->megabits))
                best = mine;
        }
    return best;
}

static void judge_traps(const ward *all, int first, int second, finding *out) {
    const network_facts *facts = all->facts, *a = &facts[first], *b = &facts[second];
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++)
            if (is_a_trap(&a->list[i], &b->list[j]))
                finding_say(out, FINDING_WARNING,
                            mend_text("export OMPI_MCA_btl_tcp_if_exclude=lo,%s "
                                      "OMPI_MCA_oob_tcp_if_exclude=lo,%s NCCL_SOCKET_IFNAME=^lo,%s",
                                      a->list[i].name, a->list[i].name, a->list[i].name),
                            "interface %s has the address %s on hosts %s and %s alike: MPI may try "
                            "it and wait",
                            a->list[i].name, address_text(a->list[i].address),
                            all->beds[first].host, all->beds[second].host);
}

static void judge_pair(const ward *all, int first, int second, finding *out) {
    const network_facts *facts = all->facts, *a = &facts[first], *b = &facts[second];
    for (int index = 0; index < 2; index++) {
        int rank = index ? second : first;
        if (facts[rank].count == 0 && !facts[rank].has_ipv6 && facts[rank].rdma == 0)
            finding_say(out, FINDING_FAILURE,
                        "ip address   # on that host; #SBATCH --exclude=HOST until it is mended",
                        "host %s has no network but loopback: other hosts do not reach it",
                        all->beds[rank].host);
    }
    judge_traps(all, first, second, out);
    const network_interface *best = best_between(a, b);
    if (a->rdma && b->rdma)
        return;
    if (a->rdma != b->rdma)
        finding_say(out, FINDING_WARNING, "#SBATCH --constraint=FEATURE   # nodes of one fabric",
                    "host %s has an RDMA network, host %s has none: between them it is not used",
                    all->beds[a->rdma ? first : second].host,
                    all->beds[a->rdma ? second : first].host);
    if (best && best->megabits && best->megabits <= SLOW_MEGABITS)
        finding_say(out, FINDING_WARNING,
                    "export OMPI_MCA_btl_tcp_if_include=NETWORK/BITS NCCL_SOCKET_IFNAME=NAME   # a "
                    "faster one, where there is",
                    "hosts %s and %s reach each other by %s only", all->beds[first].host,
                    all->beds[second].host, describe(best));
}

/* One rank on a node may have stood beside the network's card; of several some cannot. */
static void judge_place(const ward *all, int rank, int first, finding *out) {
    const network_facts *facts = all->facts;
    const network_interface *best = best_between(&facts[rank], &facts[first]);
    int node = facts[rank].cores_numa_node;
    if (best && all->beds[rank].local_size == 1 && best->numa_node >= 0 && node >= 0 &&
        node != best->numa_node)
        finding_say(out, FINDING_WARNING,
                    mend_text("srun --cpu-bind=map_ldom:%d ...", best->numa_node),
                    "%s: its cores are on NUMA node %d, its network (%s) is not",
                    name_rank(all, rank), node, describe(best));
}

void judge_network(const ward *all, finding *out) {
    const network_facts *facts = all->facts;
    const network_interface *best = NULL;
    if (all->me->node_count == 1) {
        finding_say(out, FINDING_OK, NULL, "one node: ranks do not need it%s%s",
                    facts[0].count ? "; " : "", facts[0].count ? describe(&facts[0].list[0]) : "");
        return;
    }
    int second = -1;
    for (int rank = 1; rank < all->size; rank++) {
        if (all->beds[rank].node == all->beds[0].node || all->beds[rank].local_rank != 0)
            continue;
        judge_pair(all, 0, rank, out);
        judge_place(all, rank, 0, out);
        if (second < 0)
            second = rank;
    }
    if (second >= 0) {
        judge_place(all, 0, second, out);
        best = best_between(&facts[0], &facts[second]);
    }
    if (facts[0].rdma)
        finding_say(out, FINDING_OK, NULL, "RDMA: %d active, the first %s", facts[0].rdma,
                    facts[0].rdma_name);
    finding_say(out, FINDING_OK, NULL, "%s",
                best ? describe(best) : "the hosts reach each other through a router");
}

static const check checks[] = {{"network", true, judge_network}, {0}};

const theme theme_network = {.place = "doctor: network",
                             .fact_bytes = sizeof(network_facts),
                             .examine = examine,
                             .checks = checks,
                             .at_start = true};
