/* The config.json beside a model's weights. */
#include "fuzz.h"

#include "model/graph.h"
#include "weights/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    weights_config found;
    ls_error error = {0};
    int status = weights_config_read(fuzz_file("config.json", bytes, size), &found, &error);
    fuzz_accepted = status == LS_OK;
    if (!fuzz_accepted && (status != LS_BAD_INPUT || !error.text[0]))
        abort();
    if (fuzz_accepted && (!memchr(found.model, 0, sizeof found.model) ||
                          !(found.epsilon >= 0 && found.epsilon <= 1)))
        abort();
    return 0;
}

bool fuzz_seed(int number, const char *path) {
    static const char *const texts[] = {
        ("{\"architectures\": [\"ViTForImageClassification\"], \"model_type\": \"vit\", "
         "\"hidden_act\": \"gelu\", \"hidden_size\": 384, \"num_hidden_layers\": 12, "
         "\"num_attention_heads\": 6, \"intermediate_size\": 1536, \"patch_size\": 14, "
         "\"layer_norm_eps\": 1e-06, \"id2label\": {\"0\": \"a\"}}\n"),
        ("{\"architecture\": \"vit_small_patch16_224\", \"num_classes\": 10, "
         "\"global_pool\": \"avg\", \"pretrained_cfg\": {\"mean\": [0.5, 0.5, 0.5]}}\n"),
        "{\"architecture\": \"vit_tiny_patch16_224\", \"model_args\": {\"img_size\": 32}}", "{}"};
    return fuzz_text(texts, (int)(sizeof texts / sizeof *texts), number, path);
}
