/* What travels on the lifeline, and how one rank reaches another: fixed-size messages over TCP.
 * The ranks run one binary on one kind of machine, so numbers travel as they lie in memory. */
#ifndef LOCKSTEP_LAUNCH_LIFELINE_WIRE_H
#define LOCKSTEP_LAUNCH_LIFELINE_WIRE_H

#include "base/error.h"

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_ADDRESSES = 8, WIRE_SECRET_BYTES = 16 };

typedef enum {
    WIRE_HELLO = 1, /* first on a connection: secret, rank */
    WIRE_WELCOME,   /* the answer: rank 0, or a rank that lives, is here */
    WIRE_BEAT,      /* alive; from a rank: where it is */
    WIRE_FAIL,      /* a rank failed: code, everyone, text */
    WIRE_SIGNAL,    /* a rank was told to end: code is the signal's number */
    WIRE_END,       /* rank 0: the line is printed, leave with code */
    WIRE_BYE        /* an orderly end */
} wire_type;

typedef struct wire_message {
    uint32_t type;
    int32_t rank, code, everyone;
    int64_t epoch, step;
    char phase[24];
    uint8_t secret[WIRE_SECRET_BYTES];
    uint32_t text_bytes; /* of `text` that travel, terminator excluded */
    char text[1024];
} wire_message;

/* A connection and the message that is arriving on it. */
typedef struct wire_link {
    int descriptor; /* -1: closed */
    size_t filled;
    wire_message in;
} wire_link;

/* Where a rank listens. */
typedef struct wire_endpoint {
    char host[256];
    uint16_t port;
    uint16_t address_count;
    struct wire_address {
        uint8_t bytes[16];
        uint8_t is_v6, prefix_bits;
    } addresses[WIRE_ADDRESSES];
} wire_endpoint;

/* Listens on every interface, on a port that the system chooses, and lists this host's addresses
 * that others could reach. The socket does not block and is closed by exec. */
int wire_listen(const char *host, int *descriptor, wire_endpoint *out, ls_error *error);

/* Tries each address of `to` (this host's loopback first when both are one host, then those on a
 * network that `mine` is on), says hello and waits for the welcome: at most `patience_seconds` an
 * address. 0, or -1 with what was tried in `tried`. */
int wire_connect(const wire_endpoint *to, const wire_endpoint *mine, const wire_message *hello,
                 double patience_seconds, wire_link *link, char *tried, size_t tried_capacity);

/* poll(2) of those of `all` that have a descriptor: it refuses more entries than this process may
 * have open files, those without one included. scratch: room for `count`. Fills each revents. */
int wire_poll(struct pollfd *all, struct pollfd *scratch, int count, double patience_seconds);

/* Takes the next connection from a listener: its descriptor, or -1 when there is none. */
int wire_accept(int listener);

/* 0, or -1 where the connection is broken or its peer has read nothing for long. */
int wire_send(wire_link *link, const wire_message *message);

/* 1: link->in is whole (the next call starts another); 0: not yet; -1: closed or broken. */
int wire_receive(wire_link *link);

void wire_close(wire_link *link);

#endif
