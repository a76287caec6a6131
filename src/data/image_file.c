#include "data/image_file.h"

#include "data/jpeg.h"
#include "data/png_image.h"
#include "data/resize.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What files that are no JPEG begin with. */
static const char *other_format(const uint8_t *bytes, size_t length) {
    static const struct {
        const char *mark, *name;
    } known[] = {{"GIF8", "GIF"},
                 {"BM", "BMP"},
                 {"II*", "TIFF"},
                 {"MM", "TIFF"},
                 {"\xFF\x4F\xFF\x51", "JPEG 2000"},
                 {"P6", "PPM"},
                 {"P5", "PGM"},
                 {"<svg", "SVG"},
                 {"<!DOCTYPE", "HTML"},
                 {"<html", "HTML"}};
    if (length >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
        return "WebP";
    if (length >= 12 && memcmp(bytes + 4, "ftyp", 4) == 0)
        return "HEIF or AVIF";
    if (length >= 12 && memcmp(bytes + 4, "jP  ", 4) == 0)
        return "JPEG 2000";
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++) {
        size_t mark = strlen(known[index].mark);
        if (length >= mark && memcmp(bytes, known[index].mark, mark) == 0)
            return known[index].name;
    }
    return NULL;
}

/* The end marker in the last bytes; trailing zeros and line ends are common. */
static bool has_end(const uint8_t *bytes, size_t length) {
    size_t floor = length > 16 ? length - 16 : 0;
    while (length > floor + 2 &&
           (bytes[length - 1] == 0 || bytes[length - 1] == '\n' || bytes[length - 1] == '\r'))
        length--;
    return length >= 2 && bytes[length - 2] == 0xFF && bytes[length - 1] == 0xD9;
}

/* An image that is being converted: what it is made of, and why. */
typedef struct conversion {
    const image_file_settings *settings;
    const char *path;
    const uint8_t *bytes;
    size_t length;
    bool png;
    jpeg_facts facts;
    int to_height, to_width; /* before it is turned; smaller than it is, or as large */
} conversion;

static void add_reason(image_file *out, const char *reason) {
    size_t used = strlen(out->became);
    snprintf(out->became + used, sizeof out->became - used, "%s%s", used ? ", " : "", reason);
}

static void choose_size(conversion *self) {
    int longer = self->facts.height > self->facts.width ? self->facts.height : self->facts.width;
    int most = self->settings->max_side;
    self->to_height = self->facts.height;
    self->to_width = self->facts.width;
    if (!most || longer <= most)
        return;
    double scale = (double)most / longer;
    self->to_height = (int)lround(self->facts.height * scale);
    self->to_width = (int)lround(self->facts.width * scale);
    self->to_height = self->to_height < 1 ? 1 : self->to_height;
    self->to_width = self->to_width < 1 ? 1 : self->to_width;
}

static bool shrinks(const conversion *self) {
    return self->to_height != self->facts.height || self->to_width != self->facts.width;
}

static bool turns(const conversion *self) {
    return self->settings->apply_exif && self->facts.orientation > 1;
}

/* All reasons to make another file of it; none: it stays as it is. */
static void find_reasons(const conversion *self, image_file *out) {
    char text[96];
    if (self->png)
        add_reason(out, "PNG");
    if (self->facts.cmyk)
        add_reason(out, "CMYK");
    if (self->facts.arithmetic)
        add_reason(out, "arithmetic coding");
    if (turns(self)) {
        snprintf(text, sizeof text, "EXIF orientation %d", self->facts.orientation);
        add_reason(out, text);
    }
    out->odd = out->became[0] != '\0';
    if (shrinks(self)) {
        snprintf(text, sizeof text, "%d x %d shrunk to %d x %d", self->facts.height,
                 self->facts.width, self->to_height, self->to_width);
        add_reason(out, text);
    }
}

static int decode(const conversion *self, jpeg_image *out, ls_error *error) {
    int shorter = self->to_height < self->to_width ? self->to_height : self->to_width;
    if (self->png)
        return png_decode(self->path, self->bytes, self->length, out, error);
    return jpeg_decode(self->path, self->bytes, self->length, shrinks(self) ? shorter : 0, out,
                       error);
}

static int shrink(const conversion *self, jpeg_image *image, ls_error *error) {
    uint8_t *smaller = malloc((size_t)self->to_height * (size_t)self->to_width * 3);
    int status = smaller ? resize_whole(image->pixels, image->height, image->width, self->to_height,
                                        self->to_width, smaller, error)
                         : ls_fail(error, LS_FAILED, "%s: out of memory", self->path);
    free(image->pixels);
    image->pixels = smaller;
    image->height = self->to_height;
    image->width = self->to_width;
    return status;
}

/* EXIF's orientations (JEITA CP-3451, 4.6.4): where row 0 and column 0 are to be shown. From 5 on
 * the sides change places. */
static int turn(const conversion *self, jpeg_image *image, ls_error *error) {
    int orientation = self->facts.orientation, height = image->height, width = image->width;
    bool sides = orientation >= 5;
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int to_height = sides ? width : height, to_width = sides ? height : width;
    uint8_t *turned = malloc((size_t)height * (size_t)width * 3);
    if (!turned)
        return ls_fail(error, LS_FAILED, "%s: out of memory", self->path);
    for (int y = 0; y < to_height; y++)
        for (int x = 0; x < to_width; x++) {
            int row = sides ? x : y, column = sides ? y : x;
            row = from_bottom ? height - 1 - row : row;
            column = from_right ? width - 1 - column : column;
            memcpy(turned + ((size_t)y * (size_t)to_width + (size_t)x) * 3,
                   image->pixels + ((size_t)row * (size_t)width + (size_t)column) * 3, 3);
        }
    free(image->pixels);
    *image = (jpeg_image){to_height, to_width, turned, image->warned};
    return LS_OK;
}

static int make_jpeg(const conversion *self, image_file *out, ls_error *error) {
    jpeg_image image;
    LS_TRY(decode(self, &image, error));
    int status = LS_OK;
    if (shrinks(self))
        status = shrink(self, &image, error);
    if (status == LS_OK && turns(self))
        status = turn(self, &image, error);
    if (status == LS_OK)
        status = jpeg_encode(image.pixels, image.height, image.width, self->settings->quality,
                             &out->bytes, &out->length, error);
    out->height = image.height;
    out->width = image.width;
    out->warned = image.warned || self->facts.warned;
    free(image.pixels);
    return status;
}

/* Memory of make_jpeg: the pixels, where they are turned or shrunk others beside them, what the
 * decoder takes, and the file that grows by doubling. */
static int64_t conversion_bytes(const conversion *self) {
    int64_t pixels = (int64_t)self->facts.height * self->facts.width * 3;
    int64_t images = shrinks(self) || turns(self) ? 3 : 2;
    return images * pixels + self->facts.decode_bytes + (1 << 20);
}

static int fail_budget(const char *path, int64_t needed, const memory_budget *budget,
                       ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: decoding it takes %" PRId64 " MiB of memory, more than the %" PRId64
                   " MiB that are left of the bound (--memory)",
                   path, needed >> 20, budget->total >> 20);
}

static int convert(conversion *self, memory_budget *budget, image_file *out, ls_error *error) {
    int64_t needed = conversion_bytes(self);
    if (!budget_take(budget, needed))
        return fail_budget(self->path, needed, budget, error);
    int status = make_jpeg(self, out, error);
    budget_give(budget, needed);
    return status;
}

static int probe(conversion *self, memory_budget *budget, ls_error *error) {
    int64_t needed = self->facts.decode_bytes;
    if (!budget_take(budget, needed))
        return fail_budget(self->path, needed, budget, error);
    int status = jpeg_probe(self->path, self->bytes, self->length, &self->facts, error);
    budget_give(budget, needed);
    return status;
}

static int inspect(conversion *self, ls_error *error) {
    uint32_t height = 0, width = 0;
    self->png = png_is(self->bytes, self->length);
    if (!self->png) {
        const char *other = other_format(self->bytes, self->length);
        if (self->length == 0)
            return ls_fail(error, LS_BAD_INPUT, "%s: expected a JPEG file, found 0 bytes",
                           self->path);
        if (other)
            return ls_fail(error, LS_BAD_INPUT, "%s: expected a JPEG file, found %s: convert it",
                           self->path, other);
        return jpeg_inspect(self->path, self->bytes, self->length, &self->facts, error);
    }
    if (!png_size(self->bytes, self->length, &height, &width) || height < 1 || width < 1 ||
        (uint64_t)height * width > IMAGE_PIXEL_LIMIT || height > 65500 || width > 65500)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a whole PNG file, found a header that claims %" PRIu32
                       " x %" PRIu32 " pixels",
                       self->path, height, width);
    self->facts = (jpeg_facts){.height = (int)height, .width = (int)width, .orientation = 1};
    return LS_OK;
}

int image_file_take(const image_file_settings *settings, memory_budget *budget, const char *path,
                    const uint8_t *bytes, size_t length, image_file *out, ls_error *error) {
    conversion self = {.settings = settings, .path = path, .bytes = bytes, .length = length};
    *out = (image_file){0};
    LS_TRY(inspect(&self, error));
    choose_size(&self);
    find_reasons(&self, out);
    if (out->became[0])
        return convert(&self, budget, out, error);
    if (settings->encode_all) {
        LS_TRY(convert(&self, budget, out, error));
        if (out->length < length) {
            add_reason(out, "encoded again");
            return LS_OK;
        }
        free(out->bytes);
        out->bytes = NULL;
    } else if (settings->decode || !has_end(bytes, length)) {
        LS_TRY(probe(&self, budget, error));
        out->warned = self.facts.warned;
    }
    out->warned = out->warned || self.facts.warned;
    out->length = length;
    out->height = self.facts.height;
    out->width = self.facts.width;
    return LS_OK;
}
