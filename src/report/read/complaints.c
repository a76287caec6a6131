#include "report/read/complaints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int complaints_add(complaints *self, ls_error *error) {
    if (error->code != LS_BAD_INPUT)
        return error->code;
    for (size_t index = 0; index < self->count; index++)
        if (strcmp(self->list[index].text, error->text) == 0) { /* a file that was read twice */
            *error = (ls_error){0};
            return LS_OK;
        }
    ls_error *list = realloc(self->list, (self->count + 1) * sizeof *list);
    if (!list)
        return error->code;
    self->list = list;
    self->list[self->count++] = *error;
    *error = (ls_error){0};
    return LS_OK;
}

int complaints_end(const complaints *self, ls_error *error) {
    if (self->count == 0)
        return LS_OK;
    for (size_t index = 0; index + 1 < self->count; index++)
        fprintf(stderr, "lockstep: %s\n", self->list[index].text);
    *error = self->list[self->count - 1];
    return error->code;
}

void complaints_free(complaints *self) {
    free(self->list);
    *self = (complaints){0};
}
