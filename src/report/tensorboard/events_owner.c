/* Whose an event file is: TensorFlow's and PyTorch's have the same names. */
#include "report/tensorboard/events_file.h"

#include "events.pb-c.h"
#include "report/tensorboard/events_record.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { START_BYTES = 4096 };

/* The data of a record that lies whole before `end`, and what follows it; NULL: none. */
static const uint8_t *next_record(const uint8_t **at, const uint8_t *end, size_t *length) {
    const uint8_t *record = *at;
    size_t left = (size_t)(end - record), whole = EVENT_RECORD_HEAD + EVENT_RECORD_TAIL;
    if (left < whole)
        return NULL;
    *length = event_record_length(record);
    if (*length > left - whole)
        return NULL;
    *at = record + whole + *length;
    return record + EVENT_RECORD_HEAD;
}

static bool is_start(const uint8_t *data, size_t length) {
    Tfevents__Event *event = tfevents__event__unpack(NULL, length, data);
    bool is = event && event->what_case == TFEVENTS__EVENT__WHAT_SESSION_LOG;
    if (event)
        tfevents__event__free_unpacked(event, NULL);
    return is;
}

/* Of the third record only the beginning need lie in the bytes. */
static bool begins_with(const uint8_t *bytes, size_t count, const char *tag) {
    const uint8_t *at = bytes, *end = bytes + count, *data;
    size_t length;
    if (!next_record(&at, end, &length) || !(data = next_record(&at, end, &length)))
        return false;
    return is_start(data, length) && memmem(at, (size_t)(end - at), tag, strlen(tag)) != NULL;
}

bool event_file_is_of(int folder, const char *name, const char *tag) {
    uint8_t bytes[START_BYTES];
    struct stat facts;
    if (strncmp(name, EVENTS_FILE ".", sizeof EVENTS_FILE) != 0)
        return false;
    int file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return false;
    bool regular = fstat(file, &facts) == 0 && S_ISREG(facts.st_mode);
    ssize_t count = regular ? pread(file, bytes, sizeof bytes, 0) : -1;
    close(file);
    return count > 0 && begins_with(bytes, (size_t)count, tag);
}
