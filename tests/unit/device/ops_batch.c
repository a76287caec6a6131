/* The batch maker: normalised values against double, and gathering, cropping and flipping bit for
 * bit: what a device makes of each of the 256 bytes is asked of it, and where each pixel comes from
 * is worked out here from the specification in device/ops.h. */
#include "ops_fixture.h"

#include "base/random.h"

#include <stdlib.h>
#include <string.h>

enum { SOURCE = 11, CURSOR = 2, LAYOUTS = LAYOUT_NHWC_PADDED + 1 };
enum { SCALES = 4 };
static const float scales[SCALES] = {2.0f / 255, 0.017f, 0x1p-7f, 0.0171f};
static const float shifts[SCALES] = {-1, -2.1f, 0.5f, -1.8f};
static const int64_t picks[] = {5, 8, 10, 0, 3, 3, 9, 1, 7};

typedef struct batch_case {
    tensor_layout layout;
    dims d;
    bool by_order; /* else images as they lie, with ids of their own */
    augmentation augment;
    int64_t epoch;
    float scale, shift; /* scale 0: the first of scales and shifts */
    bool by_channel;    /* the others of these, one a channel */
} batch_case;

typedef struct batch_data {
    uint8_t *images;
    int32_t labels[SOURCE];
    int64_t ids[SOURCE];
} batch_data;

static size_t image_size(dims d) {
    return (size_t)d.height * (size_t)d.width * (size_t)d.channels;
}

static batch_data data_of(dims d) {
    batch_data self = {.images = malloc(SOURCE * image_size(d))};
    if (!self.images)
        abort();
    for (size_t i = 0; i < SOURCE * image_size(d); i++)
        self.images[i] = (uint8_t)(i * 131 + i / 251);
    self.images[0] = 0, self.images[1] = 255;
    for (int i = 0; i < SOURCE; i++) {
        self.labels[i] = (i * 5 + 2) % 10;
        self.ids[i] = 100000 + 37 * i;
    }
    return self;
}

/* What lies behind a pixel's own channels is 0. */
static void check_padding(subject *s, const batch_case *c, const array *out) {
    int own = c->d.channels, lying = layout_channels(c->layout, own), wrong = 0;
    size_t count = layout_elements(c->layout, c->d);
    if (lying == own)
        return;
    float *all = values_get(s, out, count);
    for (size_t i = 0; i < count; i++)
        wrong += (int)(i % (size_t)lying) >= own && all[i] != 0;
    expect(wrong == 0, "%d channels of the padding are not 0", wrong);
    free(all);
}

/* make_batch on the device; [n, h, w, c] and the labels come back. */
static float *make(subject *s, const batch_case *c, const batch_data *data, int32_t *labels) {
    ls_error error = {0};
    step_state now = {.cursor = CURSOR, .epoch = c->epoch, .loss_scale = 1};
    array images = array_of(s, data->images, SOURCE * image_size(c->d));
    array all_labels = array_of(s, data->labels, sizeof data->labels);
    array order = array_of(s, picks, sizeof picks), ids = array_of(s, data->ids, sizeof data->ids);
    array state = array_of(s, &now, sizeof now);
    array out = tensor_new(s, c->layout, c->d);
    array out_labels = array_new(s, (size_t)c->d.n * sizeof(int32_t));
    batch_arguments arguments = {.images = images.memory,
                                 .labels = all_labels.memory,
                                 .order = c->by_order ? order.memory : NULL,
                                 .ids = ids.memory,
                                 .state = state.memory,
                                 .count = c->d.n,
                                 .height = c->d.height,
                                 .width = c->d.width,
                                 .channels = c->d.channels,
                                 .layout = c->layout,
                                 .type = s->type,
                                 .scale = c->scale ? c->scale : scales[0],
                                 .shift = c->scale ? c->shift : shifts[0],
                                 .by_channel = c->by_channel,
                                 .scales = {scales[1], scales[2], scales[3]},
                                 .shifts = {shifts[1], shifts[2], shifts[3]},
                                 .augment = c->augment,
                                 .out = out.memory,
                                 .out_labels = out_labels.memory};
    must(s->ops->make_batch(s->device, s->stream, &arguments, &error), &error);
    float *got = tensor_get(s, c->layout, c->d, &out);
    check_padding(s, c, &out);
    array_get(s, &out_labels, labels);
    array *all[] = {&images, &all_labels, &order, &ids, &state, &out, &out_labels};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(s, all[i]);
    return got;
}

/* What the device makes of each byte, with each of the scales: an image of 256 pixels of one
 * channel. */
static float *byte_values(subject *s) {
    float *all = floats((size_t)SCALES * 256);
    for (int which = 0; which < SCALES; which++) {
        batch_case c = {.layout = LAYOUT_NHWC,
                        .d = {1, 16, 16, 1},
                        .scale = scales[which],
                        .shift = shifts[which]};
        batch_data data = data_of(c.d);
        int32_t label;
        for (int i = 0; i < 256; i++)
            data.images[i] = (uint8_t)i;
        float *values = make(s, &c, &data, &label);
        memcpy(all + (size_t)which * 256, values, 256 * sizeof *values);
        free(data.images), free(values);
    }
    return all;
}

static void normalised_values(subject *s) {
    float *got = byte_values(s), *want = floats(256);
    for (int i = 0; i < 256; i++)
        want[i] = (float)(i * (double)(2.0f / 255) - 1);
    /* A product of up to 2 and a sum of up to 1, each rounded or fused. */
    expect_close_stored(s, "values", got, want, 256, 0x1p-22);
    free(got), free(want);
    case_done(s, "make_batch normalises each of the 256 bytes");
}

static int64_t id_of(const batch_case *c, const batch_data *data, int k) {
    return c->by_order ? picks[CURSOR + k] : data->ids[k];
}

/* The byte that pixel (h, w, channel) of image k shows: from a copy padded with black. */
static uint8_t byte_at(const batch_case *c, const batch_data *data, int k, int h, int w,
                       int channel) {
    uint32_t b[4];
    int p = c->augment.crop_padding;
    int64_t source = c->by_order ? picks[CURSOR + k] : k;
    random_block(c->augment.seed, RANDOM_AUGMENTATION, (uint64_t)c->epoch,
                 (uint64_t)id_of(c, data, k), b);
    if (c->augment.flip && b[2] % 2)
        w = c->d.width - 1 - w;
    int padded_row = h + (int)(b[0] % (uint32_t)(2 * p + 1));
    int padded_column = w + (int)(b[1] % (uint32_t)(2 * p + 1));
    bool black = padded_row < p || padded_row >= c->d.height + p || padded_column < p ||
                 padded_column >= c->d.width + p;
    size_t at = (size_t)source * image_size(c->d) +
                ((size_t)(padded_row - p) * (size_t)c->d.width + (size_t)(padded_column - p)) *
                    (size_t)c->d.channels +
                (size_t)channel;
    return black ? 0 : data->images[at];
}

static void one_batch(subject *s, const batch_case *c, const float *values) {
    batch_data data = data_of(c->d);
    int32_t labels[SOURCE];
    float *got = make(s, c, &data, labels), *want = floats(dims_count(c->d));
    size_t i = 0;
    for (int k = 0; k < c->d.n; k++) {
        int64_t source = c->by_order ? picks[CURSOR + k] : k;
        expect(labels[k] == data.labels[source], "label %d is %d, expected %d", k, labels[k],
               data.labels[source]);
        for (int h = 0; h < c->d.height; h++)
            for (int w = 0; w < c->d.width; w++)
                for (int channel = 0; channel < c->d.channels; channel++)
                    want[i++] = values[(c->by_channel ? 1 + channel : 0) * 256 +
                                       byte_at(c, &data, k, h, w, channel)];
    }
    expect_equal("batch", got, want, dims_count(c->d));
    free(got), free(want), free(data.images);
    case_done(s, "make_batch [%d,%d,%d,%d]%s %s%s, crop %d%s, epoch %d", c->d.n, c->d.height,
              c->d.width, c->d.channels, c->by_channel ? " a scale each" : "",
              layout_name(c->layout), c->by_order ? " by order" : "", c->augment.crop_padding,
              c->augment.flip ? " and flip" : "", (int)c->epoch);
}

/* Devices need not pad; cuda keeps to the layout that it chooses everywhere. */
static bool is_possible(const subject *s, const batch_case *c) {
    bool is_cuda = strcmp(s->name, "cuda") == 0;
    if (c->layout == LAYOUT_NHWC_PADDED)
        return is_cuda && s->type != DTYPE_F32;
    if (is_cuda)
        return c->layout == LAYOUT_NHWC;
    int lanes = layout_plane_channels(c->layout);
    return lanes == 0 || c->d.channels % lanes == 0;
}

void test_batch(subject *s) {
    static const dims cases[] = {{7, 5, 3, 3}, {1, 32, 32, 3}, {3, 7, 4, 16},
                                 {7, 3, 3, 5}, {2, 9, 2, 1},   {3, 4, 5, 32}};
    float *values = byte_values(s);
    normalised_values(s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int variant = 0; variant < 2 * LAYOUTS; variant++) {
            batch_case c = {.layout = (tensor_layout)(variant % LAYOUTS),
                            .d = cases[i],
                            .by_order = variant / LAYOUTS};
            if (is_possible(s, &c))
                one_batch(s, &c, values);
            c.by_channel = c.d.channels == 3;
            if (is_possible(s, &c) && c.by_channel)
                one_batch(s, &c, values);
        }
    free(values);
}

void test_augmentation(subject *s) {
    static const dims cases[] = {{7, 9, 7, 3}, {7, 32, 32, 3}, {3, 7, 9, 16}, {5, 3, 3, 5}};
    static const augmentation ways[] = {{.seed = 7, .crop_padding = 4, .flip = true},
                                        {.seed = 1, .crop_padding = 2},
                                        {.seed = 20240917000001, .flip = true}};
    float *values = byte_values(s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int variant = 0; variant < 6 * LAYOUTS; variant++) {
            batch_case c = {.layout = (tensor_layout)(variant % LAYOUTS),
                            .d = cases[i],
                            .by_order = variant / LAYOUTS % 2,
                            .augment = ways[variant / (2 * LAYOUTS)],
                            .epoch = 1 + variant};
            if (is_possible(s, &c))
                one_batch(s, &c, values);
            c.by_channel = c.d.channels == 3;
            if (is_possible(s, &c) && c.by_channel)
                one_batch(s, &c, values);
        }
    free(values);
}
