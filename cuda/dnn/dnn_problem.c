#include "cuda/dnn/dnn_problem.h"

#include <stdarg.h>
#include <stdio.h>

int dnn_problem_set_key(dnn_problem *self, ls_error *error, const char *format, ...) {
    va_list values;
    va_start(values, format);
    int length = vsnprintf(self->key, sizeof self->key, format, values);
    va_end(values);
    if (length >= 0 && (size_t)length < sizeof self->key)
        return LS_OK;
    return ls_fail(error, LS_FAILED, "cuDNN: the key of a %s is too long: %s...", self->what,
                   self->key);
}

bool dnn_problem_has_form(const dnn_problem *self, dtype form) {
    for (int index = 0; index < self->form_count; index++)
        if (self->forms[index] == form)
            return true;
    return false;
}

int dnn_problem_graph(const dnn_problem *self, dtype form, cudnnHandle_t handle, dnn_graph **out,
                      ls_error *error) {
    dnn_graph *graph;
    LS_TRY(dnn_graph_create(&self->sums, handle, &graph, error));
    int status = self->build(self, form, graph, error);
    if (status == LS_OK)
        status = dnn_graph_finish(graph, error);
    if (status != LS_OK) {
        dnn_graph_destroy(graph);
        return status;
    }
    *out = graph;
    return LS_OK;
}
