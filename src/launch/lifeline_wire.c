#include "launch/lifeline_wire.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER_BYTES = offsetof(wire_message, text), SEND_PATIENCE_MS = 200 };

typedef struct wire_address wire_address;

static int prefix_of(const uint8_t *mask, size_t bytes) {
    int bits = 0;
    for (size_t index = 0; index < bytes; index++)
        bits += __builtin_popcount(mask[index]);
    return bits;
}

/* Addresses that only this host or this link can use are left out. */
static bool address_from(const struct ifaddrs *interface, wire_address *out) {
    if (!interface->ifa_addr || !interface->ifa_netmask || !(interface->ifa_flags & IFF_UP) ||
        (interface->ifa_flags & IFF_LOOPBACK))
        return false;
    memset(out, 0, sizeof *out);
    if (interface->ifa_addr->sa_family == AF_INET) {
        const struct sockaddr_in *address = (const void *)interface->ifa_addr;
        const struct sockaddr_in *mask = (const void *)interface->ifa_netmask;
        memcpy(out->bytes, &address->sin_addr, 4);
        out->prefix_bits = (uint8_t)prefix_of((const uint8_t *)&mask->sin_addr, 4);
        return true;
    }
    if (interface->ifa_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *address = (const void *)interface->ifa_addr;
        const struct sockaddr_in6 *mask = (const void *)interface->ifa_netmask;
        if (IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr))
            return false;
        memcpy(out->bytes, &address->sin6_addr, 16);
        out->is_v6 = 1;
        out->prefix_bits = (uint8_t)prefix_of((const uint8_t *)&mask->sin6_addr, 16);
        return true;
    }
    return false;
}

static int list_addresses(wire_endpoint *out, ls_error *error) {
    struct ifaddrs *interfaces = NULL;
    if (getifaddrs(&interfaces))
        return ls_fail_errno(error, LS_FAILED, "cannot list this host's network addresses");
    for (struct ifaddrs *each = interfaces; each; each = each->ifa_next)
        if (out->address_count < WIRE_ADDRESSES &&
            address_from(each, &out->addresses[out->address_count]))
            out->address_count++;
    freeifaddrs(interfaces);
    return LS_OK;
}

/* One socket for both families where the kernel has IPv6, else IPv4. */
static int bind_any(uint16_t *port) {
    struct sockaddr_storage storage = {0};
    struct sockaddr_in6 *v6 = (void *)&storage;
    struct sockaddr_in *v4 = (void *)&storage;
    socklen_t length = sizeof *v6;
    int off = 0;
    int descriptor = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    v6->sin6_family = AF_INET6;
    if (descriptor < 0 || setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
        bind(descriptor, (struct sockaddr *)&storage, length) < 0) {
        if (descriptor >= 0)
            close(descriptor);
        memset(&storage, 0, sizeof storage);
        v4->sin_family = AF_INET;
        length = sizeof *v4;
        descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (descriptor < 0 || bind(descriptor, (struct sockaddr *)&storage, length) < 0)
            return descriptor < 0 ? -1 : (close(descriptor), -1);
    }
    length = sizeof storage;
    if (listen(descriptor, 4096) < 0 ||
        getsockname(descriptor, (struct sockaddr *)&storage, &length) < 0)
        return close(descriptor), -1;
    *port = ntohs(storage.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
    return descriptor;
}

int wire_listen(const char *host, int *descriptor, wire_endpoint *out, ls_error *error) {
    memset(out, 0, sizeof *out);
    snprintf(out->host, sizeof out->host, "%s", host);
    LS_TRY(list_addresses(out, error));
    *descriptor = bind_any(&out->port);
    if (*descriptor < 0)
        return ls_fail_errno(error, LS_FAILED, "cannot listen on a TCP port");
    return LS_OK;
}

static bool same_network(const wire_address *a, const wire_address *b) {
    if (a->is_v6 != b->is_v6 || a->prefix_bits != b->prefix_bits)
        return false;
    for (int bit = 0; bit < a->prefix_bits; bit++) {
        uint8_t mask = (uint8_t)(0x80 >> (bit & 7));
        if ((a->bytes[bit >> 3] ^ b->bytes[bit >> 3]) & mask)
            return false;
    }
    return true;
}

static bool near(const wire_address *address, const wire_endpoint *mine) {
    for (int index = 0; index < mine->address_count; index++)
        if (same_network(address, &mine->addresses[index]))
            return true;
    return false;
}

static int candidates(const wire_endpoint *to, const wire_endpoint *mine,
                      wire_address out[WIRE_ADDRESSES + 1]) {
    int count = 0;
    if (strcmp(to->host, mine->host) == 0)
        out[count++] = (wire_address){.bytes = {127, 0, 0, 1}, .prefix_bits = 8};
    for (int pass = 0; pass < 2; pass++)
        for (int index = 0; index < to->address_count; index++)
            if (near(&to->addresses[index], mine) == (pass == 0))
                out[count++] = to->addresses[index];
    return count;
}

static socklen_t socket_address(const wire_address *from, uint16_t port,
                                struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (from->is_v6) {
        struct sockaddr_in6 *v6 = (void *)out;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        memcpy(&v6->sin6_addr, from->bytes, 16);
        return sizeof *v6;
    }
    struct sockaddr_in *v4 = (void *)out;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    memcpy(&v4->sin_addr, from->bytes, 4);
    return sizeof *v4;
}

int wire_poll(struct pollfd *all, struct pollfd *scratch, int count, double patience_seconds) {
    int used = 0;
    for (int index = 0; index < count; index++) {
        all[index].revents = 0;
        if (all[index].fd >= 0)
            scratch[used++] = all[index];
    }
    int ready =
        poll(scratch, (nfds_t)used, patience_seconds > 0 ? (int)(patience_seconds * 1e3) + 1 : 0);
    used = 0;
    for (int index = 0; index < count && ready > 0; index++)
        if (all[index].fd >= 0)
            all[index].revents = scratch[used++].revents;
    return ready;
}

static int wait_until(int descriptor, short events, double until) {
    struct pollfd wanted = {.fd = descriptor, .events = events};
    for (;;) {
        double left = until - clock_seconds();
        int ready = poll(&wanted, 1, left > 0 ? (int)(left * 1e3) + 1 : 0);
        if (ready > 0)
            return 0;
        if (ready == 0)
            return errno = ETIMEDOUT, -1;
        if (errno != EINTR)
            return -1;
    }
}

static int connect_to(const wire_address *address, uint16_t port, double until) {
    struct sockaddr_storage storage;
    socklen_t length = socket_address(address, port, &storage);
    int descriptor = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -1;
    int failed = connect(descriptor, (struct sockaddr *)&storage, length) < 0 ? errno : 0;
    if (failed == EINPROGRESS) {
        socklen_t size = sizeof failed;
        if (wait_until(descriptor, POLLOUT, until) < 0)
            failed = errno;
        else if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failed, &size) < 0)
            failed = errno;
    }
    if (failed) {
        close(descriptor);
        errno = failed;
        return -1;
    }
    return descriptor;
}

/* A port may meanwhile be another program's, so only the welcome proves who listens. */
static int say_hello(wire_link *link, const wire_message *hello, double until) {
    int one = 1;
    setsockopt(link->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (wire_send(link, hello) < 0)
        return -1;
    for (;;) {
        if (wait_until(link->descriptor, POLLIN, until) < 0)
            return -1;
        int got = wire_receive(link);
        if (got > 0)
            return link->in.type == WIRE_WELCOME ? 0 : (errno = EPROTO, -1);
        if (got < 0)
            return errno = ECONNRESET, -1;
    }
}

static void note(const wire_address *address, uint16_t port, char *tried, size_t capacity) {
    char text[INET6_ADDRSTRLEN] = "?";
    int saved_errno = errno;
    size_t used = strlen(tried);
    inet_ntop(address->is_v6 ? AF_INET6 : AF_INET, address->bytes, text, sizeof text);
    snprintf(tried + used, capacity - used, "%s%s port %u: %s", used ? ", " : "", text,
             (unsigned)port, strerror(saved_errno));
}

int wire_connect(const wire_endpoint *to, const wire_endpoint *mine, const wire_message *hello,
                 double patience_seconds, wire_link *link, char *tried, size_t tried_capacity) {
    wire_address list[WIRE_ADDRESSES + 1];
    int count = candidates(to, mine, list);
    tried[0] = '\0';
    for (int index = 0; index < count; index++) {
        double until = clock_seconds() + patience_seconds;
        *link = (wire_link){.descriptor = connect_to(&list[index], to->port, until)};
        if (link->descriptor >= 0 && say_hello(link, hello, until) == 0)
            return 0;
        note(&list[index], to->port, tried, tried_capacity);
        wire_close(link);
    }
    if (count == 0)
        snprintf(tried, tried_capacity, "it has no network address");
    return -1;
}

int wire_accept(int listener) {
    int descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int one = 1;
    if (descriptor >= 0)
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return descriptor;
}

int wire_send(wire_link *link, const wire_message *message) {
    const char *bytes = (const char *)message;
    size_t length = HEADER_BYTES + message->text_bytes;
    for (size_t sent = 0; sent < length;) {
        ssize_t some = send(link->descriptor, bytes + sent, length - sent, MSG_NOSIGNAL);
        struct pollfd room = {.fd = link->descriptor, .events = POLLOUT};
        if (some > 0)
            sent += (size_t)some;
        else if (some < 0 && errno == EINTR)
            continue;
        else if (some < 0 && errno != EAGAIN)
            return -1;
        else if (poll(&room, 1, SEND_PATIENCE_MS) == 0)
            return errno = ETIMEDOUT, -1;
    }
    return 0;
}

int wire_receive(wire_link *link) {
    for (;;) {
        size_t whole = HEADER_BYTES;
        if (link->filled >= HEADER_BYTES) {
            if (link->in.text_bytes >= sizeof link->in.text)
                return -1;
            whole += link->in.text_bytes;
        }
        if (link->filled == whole) {
            link->in.text[link->in.text_bytes] = '\0';
            link->in.phase[sizeof link->in.phase - 1] = '\0';
            link->filled = 0;
            return 1;
        }
        ssize_t some =
            recv(link->descriptor, (char *)&link->in + link->filled, whole - link->filled, 0);
        if (some > 0)
            link->filled += (size_t)some;
        else if (some < 0 && errno == EINTR)
            continue;
        else
            return some < 0 && errno == EAGAIN ? 0 : -1;
    }
}

void wire_close(wire_link *link) {
    if (link->descriptor >= 0)
        close(link->descriptor);
    link->descriptor = -1;
    link->filled = 0;
}
