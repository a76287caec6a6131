#include "data/h5.h"

#include <string.h>

static hid_t text_type(size_t width) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static int put_attribute(hid_t object, const char *name, hid_t type, hid_t space, hid_t memory_type,
                         const void *values) {
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (h5_keep(attribute) < 0)
        return -1;
    int status = (int)h5_keep(H5Awrite(attribute, memory_type, values));
    return h5_keep(H5Aclose(attribute)) < 0 ? -1 : status;
}

int h5_put_text(hid_t object, const char *name, const char *text) {
    hid_t type = text_type(strlen(text) ? strlen(text) : 1);
    hid_t space = H5Screate(H5S_SCALAR);
    int status = put_attribute(object, name, type, space, type, text);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

int h5_put_integer(hid_t object, const char *name, int64_t value) {
    hid_t space = H5Screate(H5S_SCALAR);
    int status = put_attribute(object, name, H5T_STD_I64LE, space, H5T_NATIVE_INT64, &value);
    H5Sclose(space);
    return status;
}

int h5_put_names(hid_t object, const char *name, const class_names *names) {
    hsize_t count = (hsize_t)names->count;
    hid_t type = text_type((size_t)names->width);
    hid_t space = H5Screate_simple(1, &count, NULL);
    int status = put_attribute(object, name, type, space, type, names->text);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

int h5_put_crcs(hid_t object, const char *name, const uint32_t *crcs, int64_t count) {
    hsize_t extent = (hsize_t)count;
    hid_t space = H5Screate_simple(1, &extent, NULL);
    int status = put_attribute(object, name, H5T_STD_U32LE, space, H5T_NATIVE_UINT32, crcs);
    H5Sclose(space);
    return status;
}

static hid_t create(hid_t parent, const char *name, hid_t type, int rank, const hsize_t *extent,
                    H5D_alloc_time_t when) {
    hid_t space = H5Screate_simple(rank, extent, NULL);
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(creation, H5D_CONTIGUOUS);
    H5Pset_alloc_time(creation, when);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(creation, 0);
    hid_t set = h5_keep(H5Dcreate2(parent, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Pclose(creation);
    H5Sclose(space);
    return set;
}

hid_t h5_put_dataset(hid_t parent, const char *name, hid_t type, int rank, const hsize_t *extent,
                     hid_t memory_type, const void *values) {
    hid_t set = create(parent, name, type, rank, extent, H5D_ALLOC_TIME_LATE);
    if (set < 0 || h5_keep(H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values)) >= 0)
        return set;
    H5Dclose(set);
    return -1;
}

hid_t h5_put_room(hid_t parent, const char *name, hid_t type, int rank, const hsize_t *extent,
                  int64_t *place) {
    hid_t set = create(parent, name, type, rank, extent, H5D_ALLOC_TIME_EARLY);
    haddr_t found = set < 0 ? HADDR_UNDEF : H5Dget_offset(set);
    *place = (int64_t)found;
    if (set < 0 || found != HADDR_UNDEF)
        return set;
    h5_keep(-1);
    H5Dclose(set);
    return -1;
}

hid_t h5_put_part(hid_t parent, const part_form *form, const void *values) {
    hsize_t extent[4];
    for (int dimension = 0; dimension < form->rank; dimension++)
        extent[dimension] = (hsize_t)form->extent[dimension];
    return h5_put_dataset(parent, form->name + 1, h5_stored_type(form), form->rank, extent,
                          h5_memory_type(form), values);
}

int h5_put_texts(hid_t parent, const char *name, const char *texts, int64_t count, size_t width) {
    hsize_t extent = (hsize_t)count;
    hid_t type = text_type(width);
    hid_t set = h5_put_dataset(parent, name, type, 1, &extent, type, texts);
    H5Tclose(type);
    return set < 0 ? -1 : (int)h5_keep(H5Dclose(set));
}
