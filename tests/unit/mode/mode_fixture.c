#include "mode_fixture.h"
#include "../comm/comm_fixture.h"
#include "base/share.h"
#include "launch/lifeline.h"

void must(int status) {
    if (status != LS_OK)
        lifeline_fail(&error, 0);
}

void mode_test_step(mode *mode, const test_batch *from, int64_t global_count, bool training) {
    share own = share_of(global_count, all->rank, all->size);
    input_batch batch = {.maker = from->maker,
                         .from = {from->images + (size_t)own.first * from->image_bytes,
                                  from->labels + own.first, .ids = from->ids},
                         .loaded = (int)own.count,
                         .global_count = global_count,
                         .training = training};
    must(step_clock_begin(mode->clock, false, &error));
    must(batch_stage(&batch, stream, &error));
    for (int number = 0; number < mode->settings.micro_batches; number++) {
        must(mode_begin(mode, &batch, number, &error));
        must(mode_forward(mode, &batch, &error));
        must(mode_loss(mode, &batch, &error));
        if (training)
            must(mode_backward(mode, &error));
    }
    if (training)
        must(mode->is->finish(mode, &error));
}
