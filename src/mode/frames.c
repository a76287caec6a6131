#include "mode/frames.h"

#include <stdlib.h>
#include <string.h>

/* FREE: what was asked of the file on its memory may still go on, up to the ticket. */
typedef enum { FRAME_FREE, FRAME_AHEAD, FRAME_LENT } frame_state;

typedef struct frame {
    frame_state state;
    frame_page page;
    offload_ticket ticket;
    uint64_t order; /* AHEAD: of the announcements */
    char *memory;
} frame;

struct frames {
    offload_file *file;
    size_t frame_bytes;
    int count;
    frame *frames; /* [count] */
    char *memory;
    uint64_t announced;
    frame_page *waiting; /* announced, and without a frame: [waiting_count], oldest at `first` */
    size_t first, waiting_count, capacity;
};

int frames_create(offload_file *file, char *memory, int count, size_t frame_bytes, frames **out,
                  ls_error *error) {
    frames *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *self = (frames){.file = file, .frame_bytes = frame_bytes, .count = count, .memory = memory};
    self->frames = calloc((size_t)count + 1, sizeof *self->frames);
    if (!self->frames) {
        free(self);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    for (int index = 0; index < count; index++)
        self->frames[index].memory = memory + (size_t)index * frame_bytes;
    *out = self;
    return LS_OK;
}

void frames_destroy(frames *self) {
    if (!self)
        return;
    free(self->frames);
    free(self->waiting);
    free(self);
}

/* ---- what waits for a frame */

static int add_waiting(frames *self, frame_page page, ls_error *error) {
    if (self->first > 0 && self->first + self->waiting_count == self->capacity) {
        memmove(self->waiting, self->waiting + self->first,
                self->waiting_count * sizeof *self->waiting);
        self->first = 0;
    }
    if (self->waiting_count == self->capacity) {
        size_t capacity = 2 * self->capacity + 16;
        frame_page *more = realloc(self->waiting, capacity * sizeof *more);
        if (!more)
            return ls_fail(error, LS_FAILED, "out of memory");
        self->waiting = more;
        self->capacity = capacity;
    }
    self->waiting[self->first + self->waiting_count++] = page;
    return LS_OK;
}

static frame_page *find_waiting(const frames *self, frame_page page) {
    for (size_t index = 0; index < self->waiting_count; index++)
        if (self->waiting[self->first + index].at == page.at)
            return &self->waiting[self->first + index];
    return NULL;
}

/* It is lent now: it waits no more. */
static void drop_waiting(frames *self, frame_page page) {
    frame_page *here = find_waiting(self, page);
    if (!here)
        return;
    size_t behind = (size_t)(self->waiting + self->first + self->waiting_count - here) - 1;
    memmove(here, here + 1, behind * sizeof *here);
    self->waiting_count--;
}

static frame *find(frames *self, frame_state state, const frame_page *page) {
    for (int index = 0; index < self->count; index++) {
        frame *each = &self->frames[index];
        if (each->state == state && (!page || each->page.at == page->at))
            return each;
    }
    return NULL;
}

static int read_into(frames *self, frame *into, frame_page page, ls_error *error) {
    into->page = page;
    return offload_read(self->file, page.at, page.bytes, into->memory + page.before, &into->ticket,
                        error);
}

static int read_ahead(frames *self, ls_error *error) {
    while (self->waiting_count > 0) {
        frame *into = find(self, FRAME_FREE, NULL);
        if (!into)
            return LS_OK;
        frame_page page = self->waiting[self->first++];
        self->waiting_count--;
        into->state = FRAME_AHEAD;
        into->order = ++self->announced;
        LS_TRY(read_into(self, into, page, error));
    }
    return LS_OK;
}

int frames_expect(frames *self, frame_page page, ls_error *error) {
    if (find(self, FRAME_AHEAD, &page) || find_waiting(self, page))
        return LS_OK;
    LS_TRY(add_waiting(self, page, error));
    return read_ahead(self, error);
}

/* ---- lending */

/* Of what was read ahead, the page that is wanted last gives way. */
static frame *take_from_ahead(frames *self) {
    frame *last = NULL;
    for (int index = 0; index < self->count; index++) {
        frame *each = &self->frames[index];
        if (each->state == FRAME_AHEAD && (!last || each->order > last->order))
            last = each;
    }
    return last;
}

int frames_lend(frames *self, frame_page page, bool reads, char **out, ls_error *error) {
    frame *here = find(self, FRAME_AHEAD, &page);
    if (!here) {
        drop_waiting(self, page);
        here = find(self, FRAME_FREE, NULL);
        if (!here)
            here = take_from_ahead(self);
        if (!here)
            return ls_fail(error, LS_FAILED, "all %d frames of offloaded state are in use",
                           self->count);
        here->page = page;
        if (reads)
            LS_TRY(read_into(self, here, page, error));
    }
    here->state = FRAME_LENT;
    *out = here->memory + page.before;
    return offload_wait(self->file, here->ticket, error);
}

int frames_return(frames *self, const char *memory, bool writes, ls_error *error) {
    if (memory < self->memory || memory >= self->memory + (size_t)self->count * self->frame_bytes)
        return LS_OK;
    frame *here = &self->frames[(size_t)(memory - self->memory) / self->frame_bytes];
    if (here->state != FRAME_LENT)
        return LS_OK;
    here->state = FRAME_FREE;
    if (writes)
        LS_TRY(offload_write(self->file, here->page.at, here->page.bytes,
                             here->memory + here->page.before, &here->ticket, error));
    return read_ahead(self, error);
}

void frames_forget(frames *self) {
    self->first = self->waiting_count = 0;
    for (int index = 0; index < self->count; index++)
        if (self->frames[index].state == FRAME_AHEAD)
            self->frames[index].state = FRAME_FREE;
}
