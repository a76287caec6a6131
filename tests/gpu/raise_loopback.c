/* `ip link set lo up`, where there is no ip: mpirun and its ranks talk over the loopback interface,
 * and a new network namespace begins with it down. Takes CAP_NET_ADMIN. netdevice(7). (/sys may
 * show another namespace's.) Says what it did, nothing where it was up.
 *
 * Exit codes: 0 it is up, 1 it cannot be. */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(void) {
    static const char refused[] = "the loopback interface is down and cannot be set up (ip link "
                                  "set lo up), so runs of several "
                                  "ranks will fail";
    struct ifreq lo = {.ifr_name = "lo"};
    int any = socket(AF_INET, SOCK_DGRAM, 0);
    if (any < 0 || ioctl(any, SIOCGIFFLAGS, &lo) != 0) {
        perror("raise_loopback: the state of lo is not known");
        return 1;
    }
    if (lo.ifr_flags & IFF_UP)
        return 0;
    lo.ifr_flags |= IFF_UP;
    if (ioctl(any, SIOCSIFFLAGS, &lo) != 0) {
        perror(refused);
        return 1;
    }
    printf("the loopback interface was down; it is up now\n");
    return 0;
}
