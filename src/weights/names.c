#include "weights/names.h"

#include <stdio.h>
#include <string.h>

/* Of a whole model, and of one block: what a record's name begins with, and what theirs do. */
typedef struct renamed {
    const char *own, *theirs[WEIGHTS_MOST_PARTS];
} renamed;

static const renamed whole[] = {
    {"cls_token", {"embeddings.cls_token"}},
    {"pos_embed", {"embeddings.position_embeddings"}},
    {"patch_embed.proj.", {"embeddings.patch_embeddings.projection."}},
    {"norm.", {"layernorm."}},
};

static const renamed block[] = {
    {"norm1.", {"layernorm_before."}},
    {"attn.qkv.",
     {"attention.attention.query.", "attention.attention.key.", "attention.attention.value."}},
    {"attn.proj.", {"attention.output.dense."}},
    {"norm2.", {"layernorm_after."}},
    {"mlp.fc1.", {"intermediate.dense."}},
    {"mlp.fc2.", {"output.dense."}},
};

static const char head[] = "head.", classifier[] = "classifier.", blocks[] = "blocks.";

/* What stands behind `start`, or NULL where the text does not begin with it. */
static const char *behind(const char *text, const char *start) {
    size_t length = strlen(start);
    return strncmp(text, start, length) == 0 ? text + length : NULL;
}

static const char *prefix_of(weights_naming self) {
    return self == NAMING_HUGGINGFACE ? "vit." : "";
}

weights_naming weights_naming_of(const safetensors_set *set) {
    if (safetensors_set_find(set, "vit.embeddings.cls_token"))
        return NAMING_HUGGINGFACE;
    return safetensors_set_find(set, "embeddings.cls_token") ? NAMING_HUGGINGFACE_BARE : NAMING_OWN;
}

const char *weights_naming_text(weights_naming self) {
    return self == NAMING_OWN ? "names as PyTorch's" : "names as HuggingFace's";
}

/* By one table, in front of each `front`; 0: none of its rows. */
static int rename_by(const renamed *table, size_t rows, const char *front, const char *record,
                     char out[WEIGHTS_MOST_PARTS][WEIGHTS_NAME_BYTES]) {
    int count = 0;
    for (size_t row = 0; row < rows && count == 0; row++) {
        const char *rest = behind(record, table[row].own);
        for (; rest && count < WEIGHTS_MOST_PARTS && table[row].theirs[count]; count++)
            snprintf(out[count], WEIGHTS_NAME_BYTES, "%s%s%s", front, table[row].theirs[count],
                     rest);
    }
    return count;
}

static int rename_in_block(weights_naming self, const char *record,
                           char out[WEIGHTS_MOST_PARTS][WEIGHTS_NAME_BYTES]) {
    char front[64];
    const char *number = behind(record, blocks), *rest = number ? strchr(number, '.') : NULL;
    if (!rest)
        return 0;
    snprintf(front, sizeof front, "%sencoder.layer.%.*s.", prefix_of(self), (int)(rest - number),
             number);
    return rename_by(block, sizeof block / sizeof *block, front, rest + 1, out);
}

static int rename_record(weights_naming self, const char *record,
                         char out[WEIGHTS_MOST_PARTS][WEIGHTS_NAME_BYTES]) {
    const char *rest = behind(record, head);
    if (rest) {
        snprintf(out[0], WEIGHTS_NAME_BYTES, "%s%s", classifier, rest);
        return 1;
    }
    int count = rename_in_block(self, record, out);
    return count > 0 ? count
                     : rename_by(whole, sizeof whole / sizeof *whole, prefix_of(self), record, out);
}

int weights_names(weights_naming self, const char *record,
                  char out[WEIGHTS_MOST_PARTS][WEIGHTS_NAME_BYTES]) {
    int count = self == NAMING_OWN ? 0 : rename_record(self, record, out);
    if (count > 0)
        return count;
    snprintf(out[0], WEIGHTS_NAME_BYTES, "%s", record);
    return 1;
}

bool weights_names_spare(weights_naming self, const char *name) {
    const char *rest = self == NAMING_OWN ? NULL : behind(name, prefix_of(self));
    return rest && behind(rest, "pooler.dense.");
}
