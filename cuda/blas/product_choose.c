#include "cuda/blas/product_choose.h"
#include "base/clock.h"
#include "cuda/device/call_timer.h"

#include <stdio.h>
#include <string.h>

/* All that product_shape says. */
static void write_key(const product *self, product_alignment alignment,
                      char key[CHOICE_KEY_BYTES]) {
    const product_shape *shape = &self->shape;
    snprintf(key, CHOICE_KEY_BYTES, "product r%d c%d i%d %c%c %s %s epilogue %d aligned %d",
             shape->rows, shape->columns, shape->inner, shape->left_transposed ? 't' : 'n',
             shape->right_transposed ? 't' : 'n', shape->tf32 ? "tf32" : dtype_name(shape->type),
             dtype_name(shape->result_type), (int)shape->epilogue,
             alignment == ALIGNED_16 ? 16 : (int)dtype_bytes(shape->type));
}

/* "fused 66 1=20 2=4": the form, and the algorithm. False: out of host memory, or too long. */
static bool write_way(const product_way *way, char text[CHOICE_TEXT_BYTES]) {
    text_buffer algorithm = {0};
    blas_algorithm_write(&way->choice, &algorithm);
    int length =
        snprintf(text, CHOICE_TEXT_BYTES, "%s %s", way->form == BY_LIBRARY ? "fused" : "apart",
                 algorithm.bytes ? algorithm.bytes : "");
    bool whole = algorithm.bytes && length < CHOICE_TEXT_BYTES;
    text_free(&algorithm);
    return whole;
}

/* The others keep their order. */
static void move_first(way_list *list, int index) {
    product_way way = list->ways[index];
    memmove(&list->ways[1], &list->ways[0], (size_t)index * sizeof way);
    list->ways[0] = way;
}

void product_take_known(product *self, product_alignment alignment) {
    way_list *list = &self->lists[alignment];
    char key[CHOICE_KEY_BYTES], text[CHOICE_TEXT_BYTES];
    choice known;
    write_key(self, alignment, key);
    if (!choices_find(self->device->choices, CHOICE_CUBLASLT, key, &known))
        return;
    for (int index = 0; index < list->count; index++)
        if (list->ways[index].form != BY_KERNEL && write_way(&list->ways[index], text) &&
            strcmp(text, known.text) == 0) {
            move_first(list, index);
            snprintf(list->source, sizeof list->source, "%s", known.source);
            return;
        }
    device_remark(&self->device->base.refusals, "%s: cuBLASLt does not offer the %s choice %.60s",
                  key, known.source, known.text);
}

typedef struct way_call {
    product *of;
    const product_way *way;
    const product_operands *call;
} way_call;

static int put_way(void *context, cudaStream_t stream, ls_error *error) {
    const way_call *self = context;
    return product_way_run(self->of, self->way, stream, self->call, error);
}

typedef struct ways_timed {
    int best, count; /* -1: none */
    double seconds;
} ways_timed;

/* Those of the form that comes first: with the epilogue in the product where cuBLASLt has that, so
 * that the clock does not decide how many launches a step has. Its answers for these pointers, best
 * first; what follows for lesser ones is the same again. */
static void time_ways(product *self, call_timer *timer, const way_list *list, size_t room,
                      const product_operands *call, ways_timed *out) {
    bool raised = false;
    for (int index = 0, seen = 0; index < list->count && seen < BLAS_ANSWERS; index++) {
        const product_way *way = &list->ways[index];
        way_call context = {self, way, call};
        timed_call timed = {put_way, &context};
        ls_error why = {0};
        double seconds;
        if (way->form != list->ways[0].form)
            continue;
        seen++;
        if (product_way_bytes(self, way) > room)
            continue;
        if (!raised)
            call_timer_raise_clocks(timer, &timed);
        raised = true;
        if (call_timer_measure(timer, &timed, false, &seconds, &why) != LS_OK) {
            cudaGetLastError(); /* the library's: the next call is not blamed */
            device_remark(&self->device->base.refusals, "%s", why.text);
            continue;
        }
        if (out->count++ == 0 || seconds < out->seconds) {
            out->best = index;
            out->seconds = seconds;
        }
    }
}

static int take_best(product *self, product_alignment alignment, const ways_timed *timed,
                     ls_error *error) {
    way_list *list = &self->lists[alignment];
    char key[CHOICE_KEY_BYTES], measure[CHOICE_MEASURE_BYTES];
    choice chosen;
    if (timed->best < 0 || !write_way(&list->ways[timed->best], chosen.text))
        return LS_OK;
    write_key(self, alignment, key);
    snprintf(chosen.source, sizeof chosen.source, "best of %d", timed->count);
    snprintf(list->source, sizeof list->source, "%s", chosen.source);
    snprintf(measure, sizeof measure, "%.2f us", timed->seconds * 1e6);
    move_first(list, timed->best);
    return choices_put(self->device->choices, CHOICE_CUBLASLT, key, &chosen, measure, error);
}

int product_choose(product *self, product_alignment alignment, size_t room,
                   const product_operands *call, ls_error *error) {
    cuda_device *device = self->device;
    const way_list *list = &self->lists[alignment];
    ways_timed timed = {.best = -1};
    call_timer timer;
    if (alignment != ALIGNED_16 || list->source[0] || list->ways[0].form == BY_KERNEL ||
        device->first_offer || choices_imported(device->choices) ||
        device->choosing.seconds_left <= 0)
        return LS_OK;
    double began = clock_seconds();
    int status = call_timer_open(device, &timer, error);
    if (status == LS_OK)
        time_ways(self, &timer, list, room, call, &timed);
    status = call_timer_close(&timer, status, error);
    device->choosing.seconds_left -= clock_seconds() - began;
    return status == LS_OK ? take_best(self, alignment, &timed, error) : status;
}
