#include "report/tensorboard/events_file.h"

#include "base/clock.h"
#include "base/text_buffer.h"
#include "base/transfer.h"
#include "events.pb-c.h"
#include "report/tensorboard/events_record.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { USUAL_BYTES = 65536 };

static const double flush_seconds = 10;

struct event_file {
    int file;
    char path[4096];
    size_t folder_length; /* of `path`, with the slash */
    double flushed;       /* clock_seconds */
    size_t used, capacity;
    uint8_t *buffer;
};

static double wall_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int event_file_flush(event_file *self, ls_error *error) {
    if (!write_whole(self->file, self->buffer, self->used))
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
    self->used = 0;
    self->flushed = clock_seconds();
    return LS_OK;
}

/* Room for a record; what is already there is written where it must be. Only the text of very many
 * ranks needs more than the usual. */
static int make_room(event_file *self, size_t record_length, ls_error *error) {
    if (self->used + record_length <= self->capacity)
        return LS_OK;
    LS_TRY(event_file_flush(self, error));
    if (record_length <= self->capacity)
        return LS_OK;
    size_t capacity = record_length > USUAL_BYTES ? record_length : USUAL_BYTES;
    uint8_t *buffer = realloc(self->buffer, capacity);
    if (!buffer)
        return ls_fail(error, LS_FAILED, "%s: no memory for an event", self->path);
    self->buffer = buffer;
    self->capacity = capacity;
    return LS_OK;
}

static int add(event_file *self, Tfevents__Event *event, ls_error *error) {
    event->wall_time = wall_seconds();
    size_t length = tfevents__event__get_packed_size(event);
    LS_TRY(make_room(self, EVENT_RECORD_HEAD + length + EVENT_RECORD_TAIL, error));
    uint8_t *record = self->buffer + self->used;
    tfevents__event__pack(event, record + EVENT_RECORD_HEAD);
    self->used += event_record_frame(record, length);
    return clock_seconds() - self->flushed > flush_seconds ? event_file_flush(self, error) : LS_OK;
}

static int add_start(event_file *self, ls_error *error) {
    char version[] = "brain.Event:2";
    Tfevents__Event first = TFEVENTS__EVENT__INIT, second = TFEVENTS__EVENT__INIT;
    Tfevents__SessionLog log = TFEVENTS__SESSION_LOG__INIT;
    first.what_case = TFEVENTS__EVENT__WHAT_FILE_VERSION;
    first.file_version = version;
    LS_TRY(add(self, &first, error));
    log.status = TFEVENTS__SESSION_LOG__SESSION_STATUS__START;
    second.what_case = TFEVENTS__EVENT__WHAT_SESSION_LOG;
    second.session_log = &log;
    return add(self, &second, error);
}

/* In the order of their names a folder's files are in the order of their times. */
static int open_file(event_file *self, const char *folder, const char *host, ls_error *error) {
    if (strlen(folder) + strlen(host) + sizeof EVENTS_FILE + 64 > sizeof self->path)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", folder);
    self->folder_length = strlen(folder) + 1;
    format_plain(self->path, sizeof self->path, "%s/" EVENTS_FILE ".%010lld.%s.%ld.0", folder,
                 (long long)time(NULL), host, (long)getpid());
    self->flushed = clock_seconds();
    self->file = open(self->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (self->file < 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
    LS_TRY(add_start(self, error));
    return event_file_flush(self, error);
}

const char event_files_default[] = "on";

int event_file_open(const char *folder, const char *host, event_file **out, ls_error *error) {
    *out = NULL;
    event_file *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: no memory for its event file", folder);
    self->file = -1;
    int status = open_file(self, folder, host, error);
    if (status != LS_OK)
        event_file_close(self);
    else
        *out = self;
    return status;
}

const char *event_file_name(const event_file *self) {
    return self->path + self->folder_length;
}

static int add_values(event_file *self, int64_t step, Tfevents__Summary__Value **values,
                      size_t count, ls_error *error) {
    Tfevents__Event event = TFEVENTS__EVENT__INIT;
    Tfevents__Summary summary = TFEVENTS__SUMMARY__INIT;
    summary.n_value = count;
    summary.value = values;
    event.step = step;
    event.what_case = TFEVENTS__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return add(self, &event, error);
}

int event_file_scalars(event_file *self, int64_t step, const event_scalar *scalars, size_t count,
                       ls_error *error) {
    Tfevents__Summary__Value values[EVENT_SCALARS], *list[EVENT_SCALARS];
    size_t used = 0;
    for (size_t index = 0; index < count && used < EVENT_SCALARS; index++) {
        if (isnan(scalars[index].value))
            continue;
        Tfevents__Summary__Value *value = list[used] = &values[used];
        tfevents__summary__value__init(value);
        value->tag = (char *)(uintptr_t)scalars[index].tag; /* it is only read */
        value->value_case = TFEVENTS__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
        value->simple_value = (float)scalars[index].value;
        used++;
    }
    return add_values(self, step, list, used, error);
}

int event_file_text(event_file *self, int64_t step, const char *tag, const char *text,
                    ls_error *error) {
    char plugin_name[] = "text";
    Tfevents__SummaryMetadata__PluginData plugin = TFEVENTS__SUMMARY_METADATA__PLUGIN_DATA__INIT;
    Tfevents__SummaryMetadata metadata = TFEVENTS__SUMMARY_METADATA__INIT;
    Tfevents__TensorShape shape = TFEVENTS__TENSOR_SHAPE__INIT;
    Tfevents__Tensor tensor = TFEVENTS__TENSOR__INIT;
    Tfevents__Summary__Value value = TFEVENTS__SUMMARY__VALUE__INIT, *list[] = {&value};
    ProtobufCBinaryData bytes = {strlen(text), (uint8_t *)(uintptr_t)text};
    plugin.plugin_name = plugin_name;
    metadata.plugin_data = &plugin;
    metadata.data_class = TFEVENTS__DATA_CLASS__DATA_CLASS_TENSOR;
    tensor.dtype = TFEVENTS__DATA_TYPE__DT_STRING;
    tensor.tensor_shape = &shape;
    tensor.n_string_val = 1;
    tensor.string_val = &bytes;
    value.tag = (char *)(uintptr_t)tag;
    value.metadata = &metadata;
    value.value_case = TFEVENTS__SUMMARY__VALUE__VALUE_TENSOR;
    value.tensor = &tensor;
    return add_values(self, step, list, 1, error);
}

void event_file_close(event_file *self) {
    if (!self)
        return;
    if (self->file >= 0)
        close(self->file);
    free(self->buffer);
    free(self);
}
