#include "data/h5.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct reason {
    char text[512];
} reason;

/* Every call of HDF5 clears its error stack, closing what was opened too: the reason of the first
 * failure is kept until h5_fail tells it. */
static _Thread_local reason kept;

static void without_exit_handler(void) {
    /* After a failed write HDF5's own handler at exit would try again, and print. */
    H5dont_atexit();
}

/* The automatic print-out is a setting of each thread, hence before each file. */
static void quiet(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, without_exit_handler);
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    kept.text[0] = '\0';
}

static herr_t innermost(unsigned depth, const H5E_error2_t *entry, void *out) {
    reason *found = out;
    if (depth == 0 && entry->desc)
        snprintf(found->text, sizeof found->text, "%s", entry->desc);
    return 0;
}

/* Of a failed read or write HDF5 tells time, descriptor and address: the system's message is what
 * helps. */
static void shorten(reason *found) {
    char *message = strstr(found->text, "error message = '");
    if (!message)
        return;
    message += strlen("error message = '");
    message[strcspn(message, "'")] = '\0';
    memmove(found->text, message, strlen(message) + 1);
}

int64_t h5_keep(int64_t status) {
    if (status < 0 && !kept.text[0]) {
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &kept);
        shorten(&kept);
    }
    return status;
}

int h5_fail(ls_error *error, int code, const char *path, const char *doing) {
    h5_keep(-1);
    reason found = kept;
    kept.text[0] = '\0';
    const char *hint =
        strstr(found.text, "lock the file") || strstr(found.text, "file locking")
            ? " (HDF5_USE_FILE_LOCKING=FALSE helps where the file system has no locks)"
            : "";
    return ls_fail(error, code, "%s: cannot %s: %s%s", path, doing,
                   found.text[0] ? found.text : "HDF5 gives no reason", hint);
}

/* `newest`: of the format's versions. */
static hid_t access_properties(H5F_libver_t newest) {
    quiet();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, newest);
    H5Pset_file_locking(access, 0, 1);
    return access;
}

static hid_t create(const char *path, hid_t access) {
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_obj_track_times(creation, 0);
    hid_t file = h5_keep(H5Fcreate(path, H5F_ACC_EXCL, creation, access));
    H5Pclose(creation);
    H5Pclose(access);
    return file;
}

hid_t h5_create(const char *path) {
    return create(path, access_properties(H5F_LIBVER_V18));
}

/* What a file in memory is called: HDF5 looks whether there is one of that name on the disk. */
enum { IN_MEMORY_BYTES = 4200, IN_MEMORY_STEP = 1 << 16 };

static void name_in_memory(const char *path, char out[IN_MEMORY_BYTES]) {
    snprintf(out, IN_MEMORY_BYTES, "/dev/null/%s", path);
}

/* HDF5's callbacks: its buffer is the caller's. */
static void *resize_memory(void *bytes, size_t length, H5FD_file_image_op_t why, void *context) {
    h5_memory *self = context;
    void *larger = realloc(bytes, length);
    (void)why;
    if (larger)
        *self = (h5_memory){larger, 0};
    return larger;
}

/* The superblock says where the file ends; more room was taken. HDF5 File Format Specification,
 * II.A, version 2. */
static herr_t close_memory(void *bytes, H5FD_file_image_op_t why, void *context) {
    enum { VERSION = 8, END_OF_FILE = 28, LENGTH = 48 };
    h5_memory *self = context;
    const unsigned char *superblock = bytes;
    (void)why;
    self->length = 0;
    for (int byte = 7; superblock[VERSION] == 2 && byte >= 0; byte--)
        self->length = self->length << 8 | superblock[END_OF_FILE + byte];
    return self->length >= LENGTH ? 0 : -1;
}

static void *same_context(void *context) {
    return context;
}

static herr_t leave_context(void *context) {
    (void)context;
    return 0;
}

hid_t h5_create_in_memory(const char *path, h5_memory *out) {
    char name[IN_MEMORY_BYTES];
    H5FD_file_image_callbacks_t callbacks = {.image_realloc = resize_memory,
                                             .image_free = close_memory,
                                             .udata_copy = same_context,
                                             .udata_free = leave_context,
                                             .udata = out};
    *out = (h5_memory){0};
    hid_t access = access_properties(H5F_LIBVER_V18);
    name_in_memory(path, name);
    H5Pset_fapl_core(access, IN_MEMORY_STEP, 0);
    H5Pset_file_image_callbacks(access, &callbacks);
    return create(name, access);
}

hid_t h5_reopen(const char *path) {
    hid_t access = access_properties(H5F_LIBVER_V18);
    hid_t file = h5_keep(H5Fopen(path, H5F_ACC_RDWR, access));
    H5Pclose(access);
    return file;
}

/* What HDF5 would say less clearly. */
static int openable(const char *path, ls_error *error) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a readable HDF5 file, found none",
                             path);
    struct stat found;
    int regular = fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode);
    close(descriptor);
    if (!regular)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected an HDF5 file, found no regular file",
                       path);
    return LS_OK;
}

int h5_open(const char *path, h5_object *out, ls_error *error) {
    *out = (h5_object){.id = -1, .path = path, .where = ""};
    LS_TRY(openable(path, error));
    hid_t access = access_properties(H5F_LIBVER_LATEST); /* h5py's libver='latest' is read, too */
    htri_t is_hdf5 = H5Fis_hdf5(path);
    if (is_hdf5 == 0) {
        H5Pclose(access);
        return ls_fail(error, LS_BAD_INPUT, "%s: expected an HDF5 file, found something else",
                       path);
    }
    out->id = H5Fopen(path, H5F_ACC_RDONLY, access);
    int status = out->id < 0 ? h5_fail(error, LS_BAD_INPUT, path, "open as HDF5") : LS_OK;
    H5Pclose(access);
    return status;
}

int h5_open_bytes(const char *path, h5_memory of, h5_object *out, ls_error *error) {
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    char name[IN_MEMORY_BYTES];
    *out = (h5_object){.id = -1, .path = path, .where = ""};
    if (of.length < sizeof signature || memcmp(of.bytes, signature, sizeof signature) != 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected an HDF5 file, found something else",
                       path);
    hid_t access = access_properties(H5F_LIBVER_LATEST);
    name_in_memory(path, name);
    if (H5Pset_fapl_core(access, IN_MEMORY_STEP, 0) >= 0 &&
        H5Pset_file_image(access, of.bytes, of.length) >= 0)
        out->id = H5Fopen(name, H5F_ACC_RDONLY, access);
    int status = out->id < 0 ? h5_fail(error, LS_BAD_INPUT, path, "open as HDF5") : LS_OK;
    H5Pclose(access);
    return status;
}

static int refuse(const h5_object *parent, const char *name, const char *found, ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT, "%s: %s%s%s: expected a plain object, found %s",
                   parent->path, parent->where, parent->where[0] && name[0] != '/' ? "/" : "", name,
                   found);
}

/* Of "/a/b" both names: a link is followed without a word. *there: each is. */
static int check_links(const h5_object *parent, const char *name, bool *there, ls_error *error) {
    char part[256];
    H5L_info_t link;
    *there = strlen(name) < sizeof part;
    for (size_t length = 0; *there && name[length];) {
        length += name[length] == '/';
        length += strcspn(name + length, "/");
        memcpy(part, name, length);
        part[length] = '\0';
        htri_t exists = H5Lexists(parent->id, part, H5P_DEFAULT);
        if (exists < 0 || (exists > 0 && H5Lget_info(parent->id, part, &link, H5P_DEFAULT) < 0))
            return h5_fail(error, LS_BAD_INPUT, parent->path, "look up its objects");
        if (exists > 0 && link.type != H5L_TYPE_HARD)
            return refuse(parent, part, "a link to somewhere else", error);
        *there = exists > 0;
    }
    return LS_OK;
}

hsize_t h5_file_bytes(hid_t object) {
    hsize_t bytes = 0;
    hid_t file = H5Iget_file_id(object);
    if (file < 0 || H5Fget_filesize(file, &bytes) < 0)
        bytes = 0;
    if (file >= 0)
        H5Fclose(file);
    return bytes;
}

static int check_storage(const h5_object *parent, const char *name, hid_t set, ls_error *error) {
    hid_t creation = H5Dget_create_plist(set);
    if (creation < 0)
        return h5_fail(error, LS_BAD_INPUT, parent->path, "read how a data set is stored");
    bool one_piece = H5Pget_layout(creation) == H5D_CONTIGUOUS;
    bool elsewhere = H5Pget_external_count(creation) != 0,
         filtered = H5Pget_nfilters(creation) != 0;
    H5Pclose(creation);
    if (elsewhere)
        return refuse(parent, name, "one whose values are in other files", error);
    if (!one_piece || filtered)
        return refuse(parent, name, "one in pieces, or compressed", error);
    return LS_OK;
}

int h5_open_object(const h5_object *file, const char *where, H5O_type_t type, h5_object *out,
                   ls_error *error) {
    const char *kind = type == H5O_TYPE_DATASET ? "data set" : "group";
    bool there;
    *out = (h5_object){.id = -1, .path = file->path, .where = where};
    LS_TRY(check_links(file, where, &there, error));
    if (!there)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a %s %s, found none", file->path, kind,
                       where);
    out->id = H5Oopen(file->id, where, H5P_DEFAULT);
    if (out->id < 0)
        return h5_fail(error, LS_BAD_INPUT, file->path, "open an object of it");
    if (H5Iget_type(out->id) != (type == H5O_TYPE_DATASET ? H5I_DATASET : H5I_GROUP)) {
        h5_close(out);
        return ls_fail(error, LS_BAD_INPUT, "%s: expected %s to be a %s, found another object",
                       file->path, where, kind);
    }
    int status = type == H5O_TYPE_DATASET ? check_storage(file, where, out->id, error) : LS_OK;
    if (status != LS_OK)
        h5_close(out);
    return status;
}

int h5_check_stored(const h5_object *set, ls_error *error) {
    hid_t space = H5Dget_space(set->id), type = H5Dget_type(set->id);
    hssize_t points = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    hsize_t width = type < 0 ? 0 : H5Tget_size(type), stored = H5Dget_storage_size(set->id);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (points < 0 || width == 0)
        return h5_fail(error, LS_BAD_INPUT, set->path, "read a data set's type and shape");
    if ((hsize_t)points <= stored / width && stored <= h5_file_bytes(set->id))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected its values, found no room for them there",
                   set->path, set->where);
}

void h5_close(h5_object *self) {
    if (self->id < 0)
        return;
    if (H5Iget_type(self->id) == H5I_FILE)
        H5Fclose(self->id);
    else
        H5Oclose(self->id);
    self->id = -1;
}

hid_t h5_stored_type(const part_form *form) {
    switch (form->value_bytes) {
    case 1:
        return H5T_STD_U8LE;
    case 8:
        return H5T_STD_I64LE;
    default:
        return form->is_unsigned ? H5T_STD_U32LE : H5T_STD_I32LE;
    }
}

hid_t h5_memory_type(const part_form *form) {
    switch (form->value_bytes) {
    case 1:
        return H5T_NATIVE_UINT8;
    case 8:
        return H5T_NATIVE_INT64;
    default:
        return form->is_unsigned ? H5T_NATIVE_UINT32 : H5T_NATIVE_INT32;
    }
}
