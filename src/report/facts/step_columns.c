#include "report/facts/step_columns.h"

#include "report/facts/files.h"

static const column certificate_list[] = {
    [CERTIFICATE_STEP] = {.name = "step",
                          .type = COLUMN_INT64,
                          .need = NEEDS_COUNT,
                          .meaning = "1, 2, ..., of the whole run"},
    [CERTIFICATE_EPOCH] = {.name = "epoch",
                           .type = COLUMN_INT,
                           .need = NEEDS_COUNT,
                           .meaning = "1, 2, ..."},
    [CERTIFICATE_SAMPLES] =
        {.name = "samples_hash",
         .type = COLUMN_ID,
         .need = NEEDS_NAME,
         .meaning = "of the ids of the global batch's samples in order of position, 16 hex digits; "
                    "the same for any number of ranks"},
    [CERTIFICATE_PARAMETERS] = {.name = "parameters_hash",
                                .type = COLUMN_ID,
                                .need = NEEDS_TEXT,
                                .meaning = "of the bits of the parameters after that step, 16 hex "
                                           "digits; empty where the step has none "
                                           "(`--certificate-every`)"},
    [CERTIFICATE_SKETCH] = {.name = "parameters_sketch",
                            .type = COLUMN_ID,
                            .need = NEEDS_TEXT,
                            .meaning = "beside each hash: from which the distance of two runs' "
                                       "parameters is computed ([METHOD.md](METHOD.md))"},
    [CERTIFICATE_AVERAGE] = {.name = "average_hash",
                             .type = COLUMN_ID,
                             .meaning = "beside each hash: of the bits of the parameters' moving "
                                        "average; a column only with `--ema`"},
    [CERTIFICATE_BUFFERS] = {.name = "buffers_hash",
                             .type = COLUMN_ID,
                             .meaning =
                                 "beside each hash: of the bits of what the model keeps but "
                                 "does not train, on rank 0; a column only where it has such"},
};

const column_table certificate_columns = {
    .file = CERTIFICATE_FILE,
    .about = "A row a step (`lockstep report --certify RUN...`).",
    .columns = certificate_list,
    .count = sizeof certificate_list / sizeof certificate_list[0]};

static const column step_list[] = {
    {.name = "step", .type = COLUMN_INT64, .meaning = "1, 2, ..., of the whole run"},
    {.name = "epoch", .type = COLUMN_INT, .meaning = "1, 2, ..."},
    {.name = "loss", .type = COLUMN_REAL, .meaning = "mean over the step's images"},
};

const column_table step_columns = {.file = STEPS_FILE,
                                   .about = "A row a step, with `--step-log`.",
                                   .columns = step_list,
                                   .count = sizeof step_list / sizeof step_list[0]};
