#include "checkpoint/record_h5.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 1000 };

/* --- writing */

static int put_text(hid_t group, const record_value *value) {
    size_t width = value->count > 0 ? (size_t)value->count : 1;
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    hid_t set = h5_put_dataset(group, value->name, type, 0, NULL, type, value->of.text);
    H5Tclose(type);
    return set < 0 ? -1 : (int)h5_keep(H5Dclose(set));
}

static int put_value(hid_t group, const record_value *value) {
    hsize_t extent = (hsize_t)value->count;
    bool whole = value->kind == RECORD_INTEGERS;
    if (value->kind == RECORD_TEXT)
        return put_text(group, value);
    hid_t set =
        h5_put_dataset(group, value->name, whole ? H5T_STD_I64LE : H5T_IEEE_F64LE, 1, &extent,
                       whole ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, value->of.memory);
    return set < 0 ? -1 : (int)h5_keep(H5Dclose(set));
}

int record_write(hid_t file, const char *name, const record *self) {
    hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(creation, 0);
    hid_t group = h5_keep(H5Gcreate2(file, name, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Pclose(creation);
    int status = group < 0 ? -1 : 0;
    for (int index = 0; status >= 0 && index < self->count; index++)
        status = put_value(group, &self->values[index]);
    if (group >= 0 && h5_keep(H5Gclose(group)) < 0)
        status = -1;
    return status;
}

/* --- reading */

static int refuse(const h5_object *parent, const char *name, const char *found, ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT, "%s: %s/%s: expected a plain data set, found %s",
                   parent->path, parent->where, name, found);
}

/* The value's memory as the data set has it; `type` is its type in memory. */
static int read_into(const h5_object *group, hid_t set, hid_t type, record_value *out, size_t bytes,
                     ls_error *error) {
    out->of.memory = calloc(bytes + 1, 1);
    if (!out->of.memory)
        return ls_fail(error, LS_FAILED, "%s: out of memory", group->path);
    if (bytes > 0 && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out->of.memory) < 0)
        return h5_fail(error, LS_BAD_INPUT, group->path, "read a value");
    return LS_OK;
}

/* *room: bytes that all values to come may have, for values may lie on each other. */
static int read_typed(const h5_object *group, const h5_object *set, hid_t type, int64_t *room,
                      record_value *out, ls_error *error) {
    H5T_class_t class = H5Tget_class(type);
    hid_t space = H5Dget_space(set->id);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    int64_t points = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    int64_t width = (int64_t)H5Tget_size(type);
    if (space >= 0)
        H5Sclose(space);
    bool text = class == H5T_STRING && H5Tis_variable_str(type) == 0 && rank == 0;
    bool whole = H5Tequal(type, H5T_STD_I64LE) > 0 && rank == 1;
    bool real = H5Tequal(type, H5T_IEEE_F64LE) > 0 && rank == 1;
    if (!text && !whole && !real)
        return refuse(group, out->name, "a type or a shape that this format has not", error);
    if (points < 0 || width < 1 || points > *room / width)
        return refuse(group, out->name, "more values than the file has", error);
    LS_TRY(h5_check_stored(set, error));
    *room -= points * width;
    out->kind = text ? RECORD_TEXT : whole ? RECORD_INTEGERS : RECORD_REALS;
    LS_TRY(read_into(group, set->id,
                     text    ? type
                     : whole ? H5T_NATIVE_INT64
                             : H5T_NATIVE_DOUBLE,
                     out, (size_t)(points * width), error));
    out->count = text ? (int64_t)strlen(out->of.text) : points;
    return LS_OK;
}

static int read_value(const h5_object *group, int64_t *room, record_value *out, ls_error *error) {
    h5_object set;
    LS_TRY(h5_open_object(group, out->name, H5O_TYPE_DATASET, &set, error));
    hid_t type = H5Dget_type(set.id);
    int status = type < 0 ? h5_fail(error, LS_BAD_INPUT, group->path, "open a value")
                          : read_typed(group, &set, type, room, out, error);
    if (type >= 0)
        H5Tclose(type);
    h5_close(&set);
    return status;
}

static int read_named(const h5_object *group, hsize_t index, int64_t *room, record *out,
                      ls_error *error) {
    record_value *value = &out->values[out->count];
    ssize_t length = H5Lget_name_by_idx(group->id, ".", H5_INDEX_NAME, H5_ITER_INC, index,
                                        value->name, sizeof value->name, H5P_DEFAULT);
    if (length < 1 || (size_t)length >= sizeof value->name)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: %s: a name in it is empty, or longer than %d bytes", group->path,
                       group->where, RECORD_NAME_BYTES - 1);
    out->count++; /* owns what is read, also of a failure */
    return read_value(group, room, value, error);
}

static int read_values(const h5_object *group, record *out, ls_error *error) {
    H5G_info_t info;
    if (H5Gget_info(group->id, &info) < 0)
        return h5_fail(error, LS_BAD_INPUT, group->path, "look into a group");
    if (info.nlinks > MOST_VALUES)
        return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected at most %d values, found %" PRIu64,
                       group->path, group->where, MOST_VALUES, (uint64_t)info.nlinks);
    out->values = calloc((size_t)info.nlinks + 1, sizeof *out->values);
    if (!out->values)
        return ls_fail(error, LS_FAILED, "%s: out of memory", group->path);
    out->capacity = (int)info.nlinks + 1;
    int64_t room = (int64_t)h5_file_bytes(group->id);
    for (hsize_t index = 0; index < info.nlinks; index++)
        LS_TRY(read_named(group, index, &room, out, error));
    return LS_OK;
}

int record_read(const h5_object *file, const char *where, record *out, ls_error *error) {
    h5_object group;
    *out = (record){0};
    LS_TRY(h5_open_object(file, where, H5O_TYPE_GROUP, &group, error));
    int status = read_values(&group, out, error);
    h5_close(&group);
    if (status != LS_OK)
        record_free(out);
    return status;
}
