/* Which process something belongs to, and whether that still runs. */
#ifndef LOCKSTEP_BASE_PROCESS_H
#define LOCKSTEP_BASE_PROCESS_H

/* A number is used again by another process, so its start is part of it: proc(5), field 22 of
 * /proc/PID/stat. Numbers mean something within one boot and one PID namespace. */
typedef struct process_id {
    long pid;
    unsigned long long start_ticks; /* clock ticks after boot */
    char boot[40];                  /* of /proc/sys/kernel/random/boot_id; "" unknown */
    char space[40];                 /* "pid:[4026531836]"; "" unknown */
} process_id;

typedef enum {
    PROCESS_RUNS,
    PROCESS_ENDED,
    PROCESS_ELSEWHERE /* not to be seen from here */
} process_state;

void process_id_own(process_id *out);
process_state process_look(const process_id *process);

/* Ticks after boot at which a process started; 0 where there is none, or it has ended and only
 * waits for its parent. "self" or a number. */
unsigned long long process_start_ticks(const char *process);

#endif
