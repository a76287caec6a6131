#include "data/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

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
 * whatever they are (both as some phones write them); the end marker alone missing. */
static bool touches_no_pixel(j_common_ptr decoder) {
    switch (decoder->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
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

static void start(struct jpeg_decompress_struct *decoder, FILE *file, int wanted) {
    jpeg_stdio_src(decoder, file);
    jpeg_read_header(decoder, TRUE);
    int cmyk = decoder->num_components == 4;
    int shorter = (int)(decoder->image_width < decoder->image_height ? decoder->image_width
                                                                     : decoder->image_height);
    decoder->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    decoder->dct_method = JDCT_ISLOW;
    decoder->scale_num = 1;
    decoder->scale_denom = (unsigned)scale_denominator(shorter, wanted);
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
static int decode(struct jpeg_decompress_struct *decoder, FILE *file, int wanted, jpeg_image *out,
                  uint8_t **row) {
    reporter *report = (reporter *)decoder->err;
    if (setjmp(report->abandon))
        return -1;
    start(decoder, file, wanted);
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

int jpeg_read(const char *path, int wanted, jpeg_image *out, ls_error *error) {
    struct jpeg_decompress_struct decoder;
    reporter report = {.text = ""};
    uint8_t *row = NULL;
    *out = (jpeg_image){0};
    FILE *file = fopen(path, "rb");
    if (!file)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a readable JPEG file", path);
    decoder.err = jpeg_std_error(&report.base);
    report.base.error_exit = on_error;
    report.base.emit_message = on_message;
    jpeg_create_decompress(&decoder);
    int failed = decode(&decoder, file, wanted, out, &row);
    jpeg_destroy_decompress(&decoder);
    fclose(file);
    free(row);
    out->warned = report.warned;
    if (!failed)
        return LS_OK;
    free(out->pixels);
    out->pixels = NULL;
    return ls_fail(error, LS_BAD_INPUT, "%s: expected a whole JPEG file, found: %s", path,
                   report.text);
}

int jpeg_check(ls_error *error) {
    (void)error;
    return LS_OK;
}
