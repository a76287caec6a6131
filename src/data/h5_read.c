#include "data/h5.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *class_word(H5T_class_t class) {
    switch (class) {
    case H5T_INTEGER:
        return "integer";
    case H5T_FLOAT:
        return "floating point";
    case H5T_STRING:
        return "string";
    case H5T_COMPOUND:
        return "compound";
    default:
        return "another";
    }
}

/* An open attribute with its type and space, checked against what is expected of it. */
typedef struct attribute {
    hid_t id, type;
    size_t width;  /* bytes of an element */
    int64_t count; /* elements */
} attribute;

static void attribute_close(attribute *self) {
    if (self->type >= 0)
        H5Tclose(self->type);
    if (self->id >= 0)
        H5Aclose(self->id);
}

static int attribute_inspect(const h5_object *self, const char *name, H5T_class_t class,
                             attribute *out, ls_error *error) {
    out->type = H5Aget_type(out->id);
    hid_t space = H5Aget_space(out->id);
    out->count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    if (space >= 0)
        H5Sclose(space);
    if (out->type < 0 || out->count < 0)
        return h5_fail(error, LS_BAD_INPUT, self->path, "read an attribute");
    out->width = H5Tget_size(out->type);
    H5T_class_t found = H5Tget_class(out->type);
    if (found != class || (class == H5T_STRING && H5Tis_variable_str(out->type) != 0))
        return ls_fail(error, LS_BAD_INPUT, "%s: attribute %s@%s: expected %s, found %s type",
                       self->path, self->where, name,
                       class == H5T_STRING ? "a string of fixed length" : "an integer",
                       found == class ? "variable length" : class_word(found));
    return LS_OK;
}

static int attribute_open(const h5_object *self, const char *name, H5T_class_t class,
                          attribute *out, ls_error *error) {
    *out = (attribute){.id = -1, .type = -1};
    htri_t exists = H5Aexists(self->id, name);
    if (exists < 0)
        return h5_fail(error, LS_BAD_INPUT, self->path, "read its attributes");
    if (exists == 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected an attribute %s@%s, found none",
                       self->path, self->where, name);
    out->id = H5Aopen(self->id, name, H5P_DEFAULT);
    if (out->id < 0)
        return h5_fail(error, LS_BAD_INPUT, self->path, "open an attribute");
    int status = attribute_inspect(self, name, class, out, error);
    if (status != LS_OK)
        attribute_close(out);
    return status;
}

static int expect_count(const h5_object *self, const char *name, const attribute *found,
                        int64_t expected, ls_error *error) {
    if (found->count == expected)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: attribute %s@%s: expected %" PRId64 " values, found %" PRId64, self->path,
                   self->where, name, expected, found->count);
}

int h5_get_text(const h5_object *self, const char *name, char *out, size_t capacity,
                ls_error *error) {
    attribute found;
    LS_TRY(attribute_open(self, name, H5T_STRING, &found, error));
    int status = expect_count(self, name, &found, 1, error);
    memset(out, 0, capacity);
    if (status == LS_OK && found.width >= capacity)
        status = ls_fail(error, LS_BAD_INPUT,
                         "%s: attribute %s@%s: expected at most %zu bytes, found %zu", self->path,
                         self->where, name, capacity - 1, found.width);
    if (status == LS_OK && H5Aread(found.id, found.type, out) < 0)
        status = h5_fail(error, LS_BAD_INPUT, self->path, "read an attribute");
    attribute_close(&found);
    return status;
}

int h5_get_integer(const h5_object *self, const char *name, int64_t minimum, int64_t maximum,
                   int64_t *out, ls_error *error) {
    attribute found;
    LS_TRY(attribute_open(self, name, H5T_INTEGER, &found, error));
    int status = expect_count(self, name, &found, 1, error);
    if (status == LS_OK && H5Aread(found.id, H5T_NATIVE_INT64, out) < 0)
        status = h5_fail(error, LS_BAD_INPUT, self->path, "read an attribute");
    attribute_close(&found);
    if (status == LS_OK && (*out < minimum || *out > maximum))
        status = ls_fail(error, LS_BAD_INPUT,
                         "%s: attribute %s@%s: expected %" PRId64 " to %" PRId64 ", found %" PRId64,
                         self->path, self->where, name, minimum, maximum, *out);
    return status;
}

/* The names as one text each, for class_names_set to judge them. */
static int names_from(const char *text, const attribute *found, const h5_object *self,
                      class_names *out, ls_error *error) {
    size_t width = found->width + 1;
    char *terminated = calloc((size_t)found->count, width);
    const char **names = calloc((size_t)found->count, sizeof *names);
    int status = LS_OK;
    if (!terminated || !names)
        status = ls_fail(error, LS_FAILED, "%s: out of memory for its class names", self->path);
    for (int64_t index = 0; status == LS_OK && index < found->count; index++) {
        names[index] = terminated + (size_t)index * width;
        memcpy(terminated + (size_t)index * width, text + (size_t)index * found->width,
               found->width);
    }
    if (status == LS_OK)
        status = class_names_set(out, names, (int)found->count, self->path, error);
    free(names);
    free(terminated);
    return status;
}

int h5_get_names(const h5_object *self, const char *name, class_names *out, ls_error *error) {
    attribute found;
    *out = (class_names){0};
    LS_TRY(attribute_open(self, name, H5T_STRING, &found, error));
    int status = LS_OK;
    char *text = NULL;
    if (found.count < 1 || found.count > FORMAT_CLASS_LIMIT ||
        found.width > FORMAT_CLASS_NAME_LIMIT + 1)
        status = ls_fail(error, LS_BAD_INPUT,
                         "%s: attribute %s@%s: expected 1 to %d names of at most %d bytes, found "
                         "%" PRId64 " of %zu",
                         self->path, self->where, name, FORMAT_CLASS_LIMIT, FORMAT_CLASS_NAME_LIMIT,
                         found.count, found.width);
    if (status == LS_OK && !(text = malloc((size_t)found.count * found.width)))
        status = ls_fail(error, LS_FAILED, "%s: out of memory for its class names", self->path);
    if (status == LS_OK && H5Aread(found.id, found.type, text) < 0)
        status = h5_fail(error, LS_BAD_INPUT, self->path, "read its class names");
    if (status == LS_OK)
        status = names_from(text, &found, self, out, error);
    free(text);
    attribute_close(&found);
    return status;
}

int h5_get_crcs(const h5_object *self, const char *name, int64_t count, uint32_t **out,
                ls_error *error) {
    attribute found;
    *out = NULL;
    LS_TRY(attribute_open(self, name, H5T_INTEGER, &found, error));
    int status = expect_count(self, name, &found, count, error);
    if (status == LS_OK && !(*out = malloc((size_t)count * sizeof **out)))
        status = ls_fail(error, LS_FAILED, "%s: out of memory for its checksums", self->path);
    if (status == LS_OK && H5Aread(found.id, H5T_NATIVE_UINT32, *out) < 0) {
        status = h5_fail(error, LS_BAD_INPUT, self->path, "read its checksums");
        free(*out);
        *out = NULL;
    }
    attribute_close(&found);
    return status;
}

int h5_check_dataset(const h5_object *self, hid_t type, const char *type_name, int rank,
                     hsize_t *extent, ls_error *error) {
    hid_t found = H5Dget_type(self->id);
    hid_t space = H5Dget_space(self->id);
    int found_rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    int status = LS_OK;
    if (found < 0 || found_rank < 0)
        status = h5_fail(error, LS_BAD_INPUT, self->path, "read a data set's type and shape");
    else if (type >= 0 && H5Tequal(found, type) <= 0)
        status =
            ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %s, found %zu-byte %s type", self->path,
                    self->where, type_name, H5Tget_size(found), class_word(H5Tget_class(found)));
    else if (found_rank != rank)
        status = ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %d dimensions, found %d",
                         self->path, self->where, rank, found_rank);
    else
        H5Sget_simple_extent_dims(space, extent, NULL);
    if (space >= 0)
        H5Sclose(space);
    if (found >= 0)
        H5Tclose(found);
    return status;
}

static const char *type_name(const part_form *form) {
    switch (form->value_bytes) {
    case 1:
        return "uint8";
    case 8:
        return "int64";
    default:
        return form->is_unsigned ? "uint32" : "int32";
    }
}

int h5_check_part(const h5_object *self, part_form *form, ls_error *error) {
    hsize_t extent[4] = {0};
    LS_TRY(
        h5_check_dataset(self, h5_stored_type(form), type_name(form), form->rank, extent, error));
    for (int dimension = 0; dimension < form->rank; dimension++) {
        if (extent[dimension] > (hsize_t)1 << 48)
            return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected at most 2^48 values, found more",
                           self->path, self->where);
        form->extent[dimension] = (int64_t)extent[dimension];
    }
    return LS_OK;
}

int h5_read_part(const h5_object *self, const part_form *form, void *out, ls_error *error) {
    if (H5Dread(self->id, h5_memory_type(form), H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        return h5_fail(error, LS_BAD_INPUT, self->path, "read its values");
    return LS_OK;
}

static int read_texts(const h5_object *set, int64_t count, size_t width, char *out,
                      ls_error *error) {
    hsize_t extent = 0;
    LS_TRY(h5_check_dataset(set, -1, "strings", 1, &extent, error));
    hid_t type = H5Dget_type(set->id);
    size_t found_width = H5Tget_size(type);
    int status = LS_OK;
    char *text = NULL;
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || found_width >= width ||
        (int64_t)extent != count)
        status = ls_fail(error, LS_BAD_INPUT,
                         "%s: %s: expected %" PRId64 " strings of at most %zu bytes, found %" PRId64
                         " values of %zu-byte %s type",
                         set->path, set->where, count, width - 1, (int64_t)extent, found_width,
                         class_word(H5Tget_class(type)));
    else if (!(text = malloc((size_t)count * found_width)))
        status = ls_fail(error, LS_FAILED, "%s: out of memory", set->path);
    else if (H5Dread(set->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0)
        status = h5_fail(error, LS_BAD_INPUT, set->path, "read it");
    memset(out, 0, (size_t)count * width);
    for (int64_t index = 0; status == LS_OK && index < count; index++)
        memcpy(out + (size_t)index * width, text + (size_t)index * found_width, found_width);
    free(text);
    H5Tclose(type);
    return status;
}

int h5_get_texts(const h5_object *file, const char *where, int64_t count, size_t width, char *out,
                 ls_error *error) {
    h5_object set;
    LS_TRY(h5_open_object(file, where, H5O_TYPE_DATASET, &set, error));
    int status = read_texts(&set, count, width, out, error);
    h5_close(&set);
    return status;
}
