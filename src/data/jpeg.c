#include "data/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* libjpeg reports through its error manager, which this extends; its own functions would end the
 * process or print. */
typedef struct reporter {
    struct jpeg_error_mgr base;
    jmp_buf abandon;
    char text[JMSG_LENGTH_MAX];
    bool warned;
} reporter;

static void on_error(j_common_ptr decoder) {
    reporter *self = (reporter *)decoder->err;
    self->base.format_message(decoder, self->text);
    longjmp(self->abandon, 1);
}

/* All of the image is in one scan of Huffman codes: what it lacks, the decoder says for itself. */
static bool is_one_scan(const struct jpeg_decompress_struct *decoder) {
    return !decoder->progressive_mode && !decoder->arith_code && decoder->num_components > 0 &&
           decoder->comps_in_scan == decoder->num_components;
}

/* A warning mostly means that pixels were made up. Not so: bytes that nobody needed; the number of
 * a revision of JFIF that never came; Ss, Se, Ah and Al of a baseline scan, which has one meaning
 * whatever they are (both as some phones write them); Adobe's marker that says YCCK of three
 * components, which all take for YCbCr; the end marker alone missing. */
static bool touches_no_pixel(j_common_ptr decoder) {
    switch (decoder->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_ADOBE_XFORM:
        return true;
    case JWRN_JPEG_EOF:
        return is_one_scan((const struct jpeg_decompress_struct *)decoder);
    default:
        return false;
    }
}

static void on_message(j_common_ptr decoder, int level) {
    if (level >= 0)
        return;
    if (!touches_no_pixel(decoder))
        on_error(decoder);
    ((reporter *)decoder->err)->warned = true;
}

static int scale_denominator(int shorter, int wanted) {
    int denominator = 1;
    while (denominator < 8 && shorter / (denominator * 2) >= wanted * 2)
        denominator *= 2;
    return denominator;
}

/* Adobe's CMYK is stored inverted: 255 is no ink. */
static void cmyk_to_rgb(const uint8_t *row, int width, uint8_t *out) {
    for (int x = 0; x < width; x++, row += 4, out += 3)
        for (int channel = 0; channel < 3; channel++)
            out[channel] = (uint8_t)((row[channel] * row[3] + 127) / 255);
}

/* Where a file comes from: a stream, or memory. */
typedef struct input {
    FILE *file;
    const uint8_t *bytes;
    size_t length;
} input;

static void connect_input(struct jpeg_decompress_struct *decoder, const input *from) {
    if (from->file)
        jpeg_stdio_src(decoder, from->file);
    else
        jpeg_mem_src(decoder, from->bytes, (unsigned long)from->length);
}

static void begin(struct jpeg_decompress_struct *decoder, reporter *report) {
    decoder->err = jpeg_std_error(&report->base);
    report->base.error_exit = on_error;
    report->base.emit_message = on_message;
    jpeg_create_decompress(decoder);
}

static void start(struct jpeg_decompress_struct *decoder, const input *from, int wanted) {
    connect_input(decoder, from);
    jpeg_read_header(decoder, TRUE);
    int cmyk = decoder->num_components == 4;
    int shorter = (int)(decoder->image_width < decoder->image_height ? decoder->image_width
                                                                     : decoder->image_height);
    decoder->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    decoder->dct_method = JDCT_ISLOW;
    decoder->scale_num = 1;
    decoder->scale_denom = wanted ? (unsigned)scale_denominator(shorter, wanted) : 1;
    jpeg_start_decompress(decoder);
}

static void read_rows(struct jpeg_decompress_struct *decoder, uint8_t *row, uint8_t *pixels) {
    size_t stride = (size_t)decoder->output_width * 3;
    while (decoder->output_scanline < decoder->output_height) {
        uint8_t *target = pixels + decoder->output_scanline * stride;
        JSAMPROW into = decoder->output_components == 4 ? row : target;
        jpeg_read_scanlines(decoder, &into, 1);
        if (decoder->output_components == 4)
            cmyk_to_rgb(row, (int)decoder->output_width, target);
    }
    jpeg_finish_decompress(decoder);
}

/* Memory that must outlive a longjmp is held by the caller. */
static int decode(struct jpeg_decompress_struct *decoder, const input *from, int wanted,
                  jpeg_image *out, uint8_t **row) {
    reporter *report = (reporter *)decoder->err;
    if (setjmp(report->abandon))
        return -1;
    start(decoder, from, wanted);
    out->height = (int)decoder->output_height;
    out->width = (int)decoder->output_width;
    out->pixels = malloc((size_t)out->height * (size_t)out->width * 3);
    *row = malloc((size_t)out->width * 4);
    if (!out->pixels || !*row) {
        snprintf(report->text, sizeof report->text, "out of memory");
        return -1;
    }
    read_rows(decoder, *row, out->pixels);
    return 0;
}

static int refuse(const char *path, const reporter *report, ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT, "%s: expected a whole JPEG file, found: %s", path,
                   report->text);
}

static int decode_input(const char *path, const input *from, int wanted, jpeg_image *out,
                        ls_error *error) {
    struct jpeg_decompress_struct decoder;
    reporter report = {.text = ""};
    uint8_t *row = NULL;
    *out = (jpeg_image){0};
    begin(&decoder, &report);
    int failed = decode(&decoder, from, wanted, out, &row);
    jpeg_destroy_decompress(&decoder);
    free(row);
    out->warned = report.warned;
    if (!failed)
        return LS_OK;
    free(out->pixels);
    out->pixels = NULL;
    return refuse(path, &report, error);
}

int jpeg_read(const char *path, int wanted, jpeg_image *out, ls_error *error) {
    input from = {.file = fopen(path, "rb")};
    *out = (jpeg_image){0};
    if (!from.file)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a readable JPEG file", path);
    int status = decode_input(path, &from, wanted, out, error);
    fclose(from.file);
    return status;
}

int jpeg_decode(const char *path, const uint8_t *bytes, size_t length, int wanted, jpeg_image *out,
                ls_error *error) {
    input from = {.bytes = bytes, .length = length};
    return decode_input(path, &from, wanted, out, error);
}

/* The orientation in EXIF's first directory (JEITA CP-3451, 4.6.2: a TIFF file in APP1). What is
 * damaged says nothing. */
static unsigned tiff_number(const uint8_t *at, int bytes, bool little) {
    unsigned value = 0;
    for (int index = 0; index < bytes; index++)
        value |= (unsigned)at[index] << 8 * (little ? index : bytes - 1 - index);
    return value;
}

static int orientation_of(const uint8_t *exif, size_t length) {
    static const uint8_t mark[6] = {'E', 'x', 'i', 'f', 0, 0};
    if (length < sizeof mark + 8 || memcmp(exif, mark, sizeof mark) != 0)
        return 1;
    const uint8_t *tiff = exif + sizeof mark;
    size_t left = length - sizeof mark;
    bool little = tiff[0] == 'I';
    size_t at = tiff_number(tiff + 4, 4, little);
    if (at > left || left - at < 2)
        return 1;
    unsigned entries = tiff_number(tiff + at, 2, little);
    for (at += 2; entries > 0 && left - at >= 12; entries--, at += 12)
        if (tiff_number(tiff + at, 2, little) == 0x0112) {
            unsigned found = tiff_number(tiff + at + 8, 2, little);
            return found >= 1 && found <= 8 ? (int)found : 1;
        }
    return 1;
}

/* Coefficients of all components, which a file of several scans has decoded as a whole. */
static int64_t coefficient_bytes(struct jpeg_decompress_struct *decoder) {
    int64_t bytes = 0;
    if (!jpeg_has_multiple_scans(decoder))
        return (int64_t)decoder->image_width * 256; /* rows */
    for (int index = 0; index < decoder->num_components; index++) {
        const jpeg_component_info *of = &decoder->comp_info[index];
        bytes +=
            (int64_t)of->width_in_blocks * of->height_in_blocks * DCTSIZE2 * (int64_t)sizeof(JCOEF);
    }
    return bytes;
}

/* NULL, or why no pixels would come of it. */
static const char *unusable(const struct jpeg_decompress_struct *decoder) {
    int components = decoder->num_components;
    if (components != 1 && components != 3 && components != 4)
        return "a number of components that is not 1, 3 or 4";
    if ((int64_t)decoder->image_width * decoder->image_height > IMAGE_PIXEL_LIMIT)
        return "more pixels than any picture has";
    for (int index = 0; index < components; index++) {
        const jpeg_component_info *of = &decoder->comp_info[index];
        if (decoder->max_h_samp_factor % of->h_samp_factor != 0 ||
            decoder->max_v_samp_factor % of->v_samp_factor != 0)
            return "components sampled in fractions of each other";
    }
    return NULL;
}

static int inspect(struct jpeg_decompress_struct *decoder, const input *from, jpeg_facts *out) {
    reporter *report = (reporter *)decoder->err;
    if (setjmp(report->abandon))
        return -1;
    connect_input(decoder, from);
    jpeg_save_markers(decoder, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(decoder, TRUE);
    *out = (jpeg_facts){.height = (int)decoder->image_height,
                        .width = (int)decoder->image_width,
                        .components = decoder->num_components,
                        .cmyk = decoder->num_components == 4,
                        .arithmetic = decoder->arith_code,
                        .orientation = 1};
    const char *why = unusable(decoder);
    if (why) {
        snprintf(report->text, sizeof report->text, "%s (%u x %u pixels, %d components)", why,
                 decoder->image_height, decoder->image_width, decoder->num_components);
        return -1;
    }
    out->decode_bytes = coefficient_bytes(decoder);
    for (jpeg_saved_marker_ptr at = decoder->marker_list; at && out->orientation == 1;
         at = at->next)
        out->orientation = orientation_of(at->data, at->data_length);
    return 0;
}

int jpeg_inspect(const char *path, const uint8_t *bytes, size_t length, jpeg_facts *out,
                 ls_error *error) {
    struct jpeg_decompress_struct decoder;
    reporter report = {.text = ""};
    input from = {.bytes = bytes, .length = length};
    *out = (jpeg_facts){0};
    begin(&decoder, &report);
    int failed = inspect(&decoder, &from, out);
    jpeg_destroy_decompress(&decoder);
    out->warned = report.warned;
    return failed ? refuse(path, &report, error) : LS_OK;
}

static int probe(struct jpeg_decompress_struct *decoder, const input *from, uint8_t **row) {
    reporter *report = (reporter *)decoder->err;
    if (setjmp(report->abandon))
        return -1;
    connect_input(decoder, from);
    jpeg_read_header(decoder, TRUE);
    decoder->out_color_space = decoder->num_components == 4 ? JCS_CMYK : JCS_RGB;
    decoder->dct_method = JDCT_ISLOW;
    decoder->scale_num = 1;
    decoder->scale_denom = 8;
    jpeg_start_decompress(decoder);
    *row = malloc((size_t)decoder->output_width * 4);
    if (!*row) {
        snprintf(report->text, sizeof report->text, "out of memory");
        return -1;
    }
    while (decoder->output_scanline < decoder->output_height)
        jpeg_read_scanlines(decoder, row, 1);
    jpeg_finish_decompress(decoder);
    return 0;
}

int jpeg_probe(const char *path, const uint8_t *bytes, size_t length, jpeg_facts *facts,
               ls_error *error) {
    struct jpeg_decompress_struct decoder;
    reporter report = {.text = ""};
    input from = {.bytes = bytes, .length = length};
    uint8_t *row = NULL;
    begin(&decoder, &report);
    int failed = probe(&decoder, &from, &row);
    jpeg_destroy_decompress(&decoder);
    free(row);
    facts->warned = facts->warned || report.warned;
    return failed ? refuse(path, &report, error) : LS_OK;
}

static int encode(struct jpeg_compress_struct *encoder, const uint8_t *pixels, int quality,
                  unsigned char **out, unsigned long *length) {
    reporter *report = (reporter *)encoder->err;
    if (setjmp(report->abandon))
        return -1;
    jpeg_mem_dest(encoder, out, length);
    encoder->input_components = 3;
    encoder->in_color_space = JCS_RGB;
    jpeg_set_defaults(encoder);
    jpeg_set_quality(encoder, quality, TRUE);
    encoder->dct_method = JDCT_ISLOW;
    jpeg_start_compress(encoder, TRUE);
    while (encoder->next_scanline < encoder->image_height) {
        /* The library's rows are not const; it reads them only. */
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)encoder->next_scanline *
                                                          encoder->image_width * 3);
        jpeg_write_scanlines(encoder, &row, 1);
    }
    jpeg_finish_compress(encoder);
    return 0;
}

int jpeg_encode(const uint8_t *pixels, int height, int width, int quality, uint8_t **out,
                size_t *length, ls_error *error) {
    struct jpeg_compress_struct encoder;
    reporter report = {.text = ""};
    unsigned char *bytes = NULL;
    unsigned long used = 0;
    encoder.err = jpeg_std_error(&report.base);
    report.base.error_exit = on_error;
    jpeg_create_compress(&encoder);
    encoder.image_height = (JDIMENSION)height;
    encoder.image_width = (JDIMENSION)width;
    int failed = encode(&encoder, pixels, quality, &bytes, &used);
    jpeg_destroy_compress(&encoder);
    *out = failed ? NULL : bytes;
    *length = failed ? 0 : used;
    if (!failed)
        return LS_OK;
    free(bytes);
    return ls_fail(error, LS_FAILED, "cannot encode an image of %d x %d as JPEG: %s", height, width,
                   report.text);
}

int jpeg_check(ls_error *error) {
    (void)error;
    return LS_OK;
}
