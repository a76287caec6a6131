#include "data/source.h"

void source_close(source *self) {
    if (!self)
        return;
    class_names_release(&self->classes);
    self->is->close(self);
}
