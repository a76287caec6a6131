#include "cli/pack_encoded.h"

#include "data/jpeg.h"

#include <string.h>

#define AT(field) offsetof(pack_encoded_options, field)

enum { DEFAULT_QUALITY = 95 };

const option pack_encoded_table[] = {
    {"encoded", OPTION_FLAG, AT(encoded), NULL, NULL, NULL, 0, 0,
     "Pack the JPEG files as they are; what no JPEG decoder takes is converted, or named (images).",
     false},
    {"check", OPTION_CHOICE, AT(check), "HOW", "decode", "decode|header", 0, 0,
     "Read every code of each file, or its header (and the codes where its end is missing).",
     false},
    {"skip-bad", OPTION_FLAG, AT(skip_bad), NULL, NULL, NULL, 0, 0,
     "Leave files out of which nothing can be made, and list them in OUT/left-out.tsv.", false},
    {"exif", OPTION_CHOICE, AT(exif), "HOW", "ignore", "ignore|apply", 0, 0,
     "Turn images whose EXIF says so (they are encoded again), or not, as PyTorch's ImageFolder.",
     false},
    {"max-side", OPTION_INTEGER, AT(max_side), "N", NULL, NULL, 16, 65500,
     "Shrink images whose longer side is more than N pixels to it (they are encoded again).",
     false},
    {"quality", OPTION_INTEGER, AT(quality), "Q", NULL, NULL, 1, 100,
     "Encode every image again at this quality, where that makes it smaller; without it, at 95 "
     "those that must be.",
     false},
    {"order", OPTION_CHOICE, AT(order), "HOW", "shuffled", "shuffled|sorted", 0, 0,
     "The training images' order in the shards: permuted by --seed, or by class and name.", false},
    {"memory", OPTION_INTEGER, AT(memory), "MIB", NULL, NULL, 64, 1e9,
     "The most memory to take, in MiB, beside the program itself; without it, three quarters of "
     "what is available.",
     false},
    {0}};

int pack_encoded_choose(const pack_encoded_options *given, uint64_t seed, encoded_choices *out,
                        ls_error *error) {
    LS_TRY(jpeg_check(error));
    *out = (encoded_choices){
        .file = {.decode = strcmp(given->check, "decode") == 0,
                 .apply_exif = strcmp(given->exif, "apply") == 0,
                 .max_side = (int)given->max_side,
                 .quality = given->quality ? (int)given->quality : DEFAULT_QUALITY,
                 .encode_all = given->quality != 0},
        .skip_bad = given->skip_bad,
        .shuffled = strcmp(given->order, "shuffled") == 0,
        .seed = seed,
        .memory_bytes = given->memory << 20};
    return LS_OK;
}

int pack_encoded_list(const encoded_choices *choices, const char *folder, double test_fraction,
                      image_folder *out, ls_error *error) {
    image_folder_choices listed = {.test_fraction = test_fraction,
                                   .seed = choices->seed,
                                   .png = true,
                                   .facts = true,
                                   .skip_bad = choices->skip_bad};
    return image_folder_open(out, folder, &listed, error);
}
