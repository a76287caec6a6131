#include "comm/node/node_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20 };

/* What a rank tells the others about its block, and then about theirs. */
typedef struct block_record {
    int64_t process, descriptor;
    uint64_t bytes, mark; /* the block begins with the mark until all have seen it */
    char why[NODE_WHY];   /* "": it went well */
} block_record;

static int trouble(char *why, const char *what, int number) {
    snprintf(why, NODE_WHY, "%s: %s", what, strerror(number));
    return -1;
}

/* ---- mapping */

/* A peer's pages are there, for it has populated them, and of them a rank touches its part, one of
 * as many as there are ranks. With few ranks it is worth having all of them in its page table
 * before the first step; with many, as many times as many entries would be most of a start. */
enum { POPULATED_PEERS = 8 };

/* Pages of memory that is passed over every step should be few; small blocks need none of that. */
static size_t alignment_of(size_t bytes) {
    return bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_up(size_t bytes, size_t alignment) {
    return (bytes / alignment + (bytes % alignment != 0)) * alignment;
}

/* An address where a huge page of the file can lie: the kernel may choose another. */
static char *reserve(size_t bytes, size_t alignment) {
    char *all = mmap(NULL, bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    char *aligned = (char *)round_up((size_t)all, alignment);
    if (aligned > all)
        munmap(all, (size_t)(aligned - all));
    if (aligned < all + alignment)
        munmap(aligned + bytes, (size_t)(all + alignment - aligned));
    return aligned;
}

/* Has every page now: no page fault later, and no signal where there is no room. */
static int populate(char *memory, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
    if (madvise(memory, bytes, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL) /* which is a kernel before 5.14 */
        return errno;
#endif
    for (size_t at = 0; at < bytes; at += 4096)
        __atomic_fetch_or(memory + at, 0, __ATOMIC_RELAXED); /* another's content stays */
    return 0;
}

/* NULL and *why where it does not work. whole: every page now, else those that are touched. */
static char *map(int descriptor, size_t bytes, bool whole, char *why) {
    size_t alignment = alignment_of(bytes);
    char *memory = reserve(bytes, alignment);
    if (!memory || mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor,
                        0) == MAP_FAILED) {
        trouble(why, "mmap", errno);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE)
        madvise(memory, bytes, MADV_HUGEPAGE); /* a wish: a kernel without them refuses */
#endif
    int problem = whole ? populate(memory, bytes) : 0;
    if (problem) {
        trouble(why, "no memory to share", problem);
        munmap(memory, bytes);
        return NULL;
    }
    return memory;
}

/* ---- the own block and the others' */

/* whole: every page now. */
static int make_own(const node_group *group, node_block *self, bool whole, block_record *record) {
    const char *wish = getenv("LOCKSTEP_SHARED_MEMORY");
    if (wish && strcmp(wish, "0") == 0) {
        snprintf(record->why, NODE_WHY, "LOCKSTEP_SHARED_MEMORY=0");
        return -1;
    }
    int descriptor = memfd_create("lockstep", MFD_CLOEXEC);
    if (descriptor < 0)
        return trouble(record->why, "memfd_create", errno);
    record->process = getpid();
    record->descriptor = descriptor;
    if (ftruncate(descriptor, (off_t)self->mapped) != 0)
        return trouble(record->why, "ftruncate of shared memory", errno);
    char *memory = map(descriptor, self->mapped, whole, record->why);
    if (!memory)
        return -1;
    self->parts[group->mine] = memory;
    if (getrandom(&record->mark, sizeof record->mark, 0) != sizeof record->mark)
        return trouble(record->why, "getrandom", errno);
    memcpy(memory, &record->mark, sizeof record->mark);
    return 0;
}

/* The file of that number may be another's: of a process in another container of the host, whose
 * numbers are its own. Its size and then the mark tell. */
static int map_peer(const node_group *group, node_block *self, int peer, bool whole,
                    const block_record *record, char *why) {
    char path[64], what[96];
    struct stat facts;
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)record->process,
             (long long)record->descriptor);
    snprintf(what, sizeof what, "the memory of rank %d", group->members[peer]);
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return trouble(why, what, errno);
    int status = 0;
    if (fstat(descriptor, &facts) != 0)
        status = trouble(why, what, errno);
    else if (!S_ISREG(facts.st_mode) || facts.st_size != (off_t)self->mapped)
        status = trouble(why, what, ENXIO);
    if (status == 0)
        self->parts[peer] = map(descriptor, self->mapped, whole, why);
    close(descriptor);
    if (!self->parts[peer])
        return -1;
    return memcmp(self->parts[peer], &record->mark, sizeof record->mark) == 0
               ? 0
               : trouble(why, what, ENXIO);
}

static int map_peers(const node_group *group, node_block *self, const block_record *records,
                     char *why) {
    for (int peer = 0; peer < group->count; peer++)
        if (peer != group->mine && map_peer(group, self, peer, group->count <= POPULATED_PEERS,
                                            &records[group->members[peer]], why) != 0)
            return -1;
    return 0;
}

/* ---- together */

/* Every rank's record to every rank. *all: none has a `why`; else the first of them. */
static int exchange(const node_group *group, const block_record *mine, block_record *records,
                    bool *all_well, char *why, ls_error *error) {
    LS_TRY(comm_allgather_bytes(group->over, mine, records, sizeof *mine, error));
    *all_well = true;
    for (int rank = 0; rank < group->over->size && *all_well; rank++)
        if (records[rank].why[0]) {
            *all_well = false;
            snprintf(why, NODE_WHY, "rank %d: %.*s", rank, NODE_WHY - 24, records[rank].why);
        }
    return LS_OK;
}

static int check_sizes(const node_group *group, const block_record *records, ls_error *error) {
    for (int rank = 1; rank < group->over->size; rank++)
        if (records[rank].bytes != records[0].bytes)
            return ls_fail(error, LS_FAILED,
                           "memory for collectives: rank 0 asks for %llu bytes, rank %d for %llu",
                           (unsigned long long)records[0].bytes, rank,
                           (unsigned long long)records[rank].bytes);
    return LS_OK;
}

typedef int (*block_maker)(const node_group *group, node_block *self, block_record *records,
                           block_record *mine, bool *all_well, char *why, ls_error *error);

static int create(const node_group *group, node_block *self, block_record *records,
                  block_record *mine, bool *all_well, char *why, ls_error *error) {
    make_own(group, self, true, mine);
    LS_TRY(exchange(group, mine, records, all_well, why, error));
    LS_TRY(check_sizes(group, records, error));
    if (!*all_well)
        return LS_OK;
    map_peers(group, self, records, mine->why);
    return exchange(group, mine, records, all_well, why, error);
}

/* The first's becomes each one's own part. */
static int create_common(const node_group *group, node_block *self, block_record *records,
                         block_record *mine, bool *all_well, char *why, ls_error *error) {
    const block_record *first = &records[group->members[0]];
    if (group->mine == 0)
        make_own(group, self, false, mine);
    LS_TRY(exchange(group, mine, records, all_well, why, error));
    LS_TRY(check_sizes(group, records, error));
    if (!*all_well)
        return LS_OK;
    if (group->mine > 0 && map_peer(group, self, 0, false, first, mine->why) == 0) {
        self->parts[group->mine] = self->parts[0];
        self->parts[0] = NULL;
    }
    return exchange(group, mine, records, all_well, why, error);
}

static int block_create(const node_group *group, size_t bytes, block_maker make, node_block *out,
                        char why[NODE_WHY], ls_error *error) {
    block_record mine = {.bytes = bytes, .descriptor = -1};
    block_record *records = calloc((size_t)group->over->size, sizeof *records);
    *out = (node_block){.bytes = bytes,
                        .mapped = round_up(bytes ? bytes : 1, alignment_of(bytes)),
                        .parts = calloc((size_t)group->count, sizeof *out->parts)};
    bool all_well = false;
    int status = records && out->parts ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = make(group, out, records, &mine, &all_well, why, error);
    if (mine.descriptor >= 0)
        close((int)mine.descriptor);
    free(records);
    if (status == LS_OK && all_well && mine.mark != 0)
        memset(out->parts[group->mine], 0, sizeof mine.mark);
    else if (status != LS_OK || !all_well)
        node_block_release(group, out);
    return status;
}

int node_block_create(const node_group *group, size_t bytes, node_block *out, char why[NODE_WHY],
                      ls_error *error) {
    return block_create(group, bytes, create, out, why, error);
}

int node_block_create_common(const node_group *group, size_t bytes, node_block *out,
                             char why[NODE_WHY], ls_error *error) {
    return block_create(group, bytes, create_common, out, why, error);
}

void node_block_release(const node_group *group, node_block *self) {
    for (int rank = 0; self->parts && rank < group->count; rank++)
        if (self->parts[rank])
            munmap(self->parts[rank], self->mapped);
    free(self->parts);
    self->parts = NULL;
}
