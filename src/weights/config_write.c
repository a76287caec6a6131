#include "weights/config_write.h"

#include <stdio.h>
#include <string.h>

/* Pillow's number, which ViTImageProcessor takes. */
enum { BILINEAR = 2 };

static void add_three(text_buffer *out, const char *name, const double *values, int channels) {
    text_add(out, "  \"%s\": [", name);
    for (int channel = 0; channel < channels; channel++)
        text_add(out, "%s%.15g", channel ? ", " : "", values[channel < 3 ? channel : 2]);
    text_add(out, "]");
}

/* No data set of ours has names that a checkpoint keeps: transformers' own words for that. */
static void add_labels(text_buffer *out, int classes) {
    text_add(out, "  \"id2label\": {");
    for (int label = 0; label < classes; label++)
        text_add(out, "%s\"%d\": \"LABEL_%d\"", label ? ", " : "", label, label);
    text_add(out, "},\n  \"label2id\": {");
    for (int label = 0; label < classes; label++)
        text_add(out, "%s\"LABEL_%d\": %d", label ? ", " : "", label, label);
    text_add(out, "}\n");
}

static void add_image_size(text_buffer *out, const weights_model *model) {
    if (model->height == model->width)
        text_add(out, "  \"image_size\": %d,\n", model->height);
    else
        text_add(out, "  \"image_size\": [%d, %d],\n", model->height, model->width);
}

int config_huggingface(const weights_model *model, text_buffer *out, ls_error *error) {
    vit_facts facts;
    if (!model_vit_facts(model->name, &facts))
        return ls_fail(error, LS_BAD_INPUT,
                       "--format huggingface: expected a vision transformer, found the weights of "
                       "%s (--format timm writes names as PyTorch's)",
                       model->name);
    if (facts.mean)
        return ls_fail(error, LS_BAD_INPUT,
                       "--format huggingface: expected a vision transformer that pools its class "
                       "token, found %s, whose --pool mean transformers does not have",
                       model->name);
    text_add(out,
             "{\n  \"architectures\": [\"ViTForImageClassification\"],\n"
             "  \"model_type\": \"vit\",\n  \"dtype\": \"float32\",\n"
             "  \"hidden_size\": %d,\n  \"num_hidden_layers\": %d,\n"
             "  \"num_attention_heads\": %d,\n  \"intermediate_size\": %d,\n"
             "  \"patch_size\": %d,\n  \"num_channels\": %d,\n",
             facts.width, facts.blocks, facts.heads, facts.hidden, facts.patch, model->channels);
    add_image_size(out, model);
    text_add(out,
             "  \"hidden_act\": \"%s\",\n  \"layer_norm_eps\": %.15g,\n  \"qkv_bias\": true,\n"
             "  \"hidden_dropout_prob\": 0.0,\n  \"attention_probs_dropout_prob\": 0.0,\n"
             "  \"initializer_range\": 0.02,\n",
             facts.tanh ? "gelu_pytorch_tanh" : "gelu", model->epsilon);
    add_labels(out, model->classes);
    text_add(out, "}\n");
    return LS_OK;
}

void config_preprocessor(const weights_model *model, text_buffer *out) {
    text_add(out,
             "{\n  \"image_processor_type\": \"ViTImageProcessor\",\n  \"do_resize\": true,\n"
             "  \"size\": {\"height\": %d, \"width\": %d},\n  \"resample\": %d,\n"
             "  \"do_rescale\": true,\n  \"rescale_factor\": %.17g,\n  \"do_normalize\": true,\n",
             model->height, model->width, BILINEAR, 1 / 255.0);
    add_three(out, "image_mean", model->mean, model->channels);
    text_add(out, ",\n");
    add_three(out, "image_std", model->std, model->channels);
    text_add(out, "\n}\n");
}

/* timm's model of that size; what differs from it are its arguments. */
static const char *architecture_of(const char *name) {
    static const char *const names[][2] = {{"vit-ti", "vit_tiny_patch16_224"},
                                           {"vit-s", "vit_small_patch16_224"},
                                           {"vit-b", "vit_base_patch16_224"},
                                           {"vit-l", "vit_large_patch16_224"},
                                           {"resnet18", "resnet18"},
                                           {"resnet34", "resnet34"},
                                           {"resnet50", "resnet50"}};
    vit_facts facts;
    bool transformer = model_vit_facts(name, &facts);
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if (transformer ? strncmp(name, names[index][0], strlen(names[index][0])) == 0
                        : strcmp(name, names[index][0]) == 0)
            return names[index][1];
    return NULL;
}

int config_timm(const weights_model *model, text_buffer *out, ls_error *error) {
    vit_facts facts;
    const char *architecture = architecture_of(model->name);
    bool transformer = model_vit_facts(model->name, &facts);
    if (!architecture)
        return ls_fail(error, LS_BAD_INPUT,
                       "--format timm: timm has no model as %s: expected a name that ends in "
                       ".safetensors, for the weights alone",
                       model->name);
    text_add(out, "{\n  \"architecture\": \"%s\",\n  \"num_classes\": %d,\n", architecture,
             model->classes);
    if (transformer)
        text_add(out,
                 "  \"num_features\": %d,\n  \"global_pool\": \"%s\",\n"
                 "  \"model_args\": {\"img_size\": [%d, %d], \"patch_size\": %d%s},\n",
                 facts.width, facts.mean ? "avg" : "token", model->height, model->width,
                 facts.patch, facts.tanh ? ", \"act_layer\": \"gelu_tanh\"" : "");
    text_add(out,
             "  \"pretrained_cfg\": {\n  \"input_size\": [%d, %d, %d],\n"
             "  \"num_classes\": %d,\n  \"interpolation\": \"bilinear\",\n  \"crop_pct\": 1.0,\n",
             model->channels, model->height, model->width, model->classes);
    add_three(out, "mean", model->mean, model->channels);
    text_add(out, ",\n");
    add_three(out, "std", model->std, model->channels);
    text_add(out, ",\n  \"first_conv\": \"%s\",\n  \"classifier\": \"%s\"\n  }\n}\n",
             transformer ? "patch_embed.proj" : "conv1", transformer ? "head" : "fc");
    return LS_OK;
}
