#include "report/picture/picture.h"

#include <stdlib.h>

picture *pictures_add(picture_list *self, const char *name, ls_error *error) {
    picture *items = realloc(self->items, (self->count + 1) * sizeof *items);
    if (!items) {
        ls_fail(error, LS_FAILED, "no memory for the picture '%s'", name);
        return NULL;
    }
    self->items = items;
    picture *added = &items[self->count++];
    *added = (picture){0};
    format_plain(added->name, sizeof added->name, "%s", name);
    return added;
}

void pictures_free(picture_list *self) {
    for (size_t index = 0; index < self->count; index++) {
        text_free(&self->items[index].title);
        for (int format = 0; format < PLOT_FORMATS; format++)
            text_free(&self->items[index].scripts[format]);
    }
    free(self->items);
    *self = (picture_list){0};
}
