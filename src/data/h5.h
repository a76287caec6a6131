/* The few things that this format does with HDF5, with errors as one line. HDF5 is entered by one
 * thread at a time (the caller sees to it). */
#ifndef LOCKSTEP_DATA_H5_H
#define LOCKSTEP_DATA_H5_H

#include "base/error.h"
#include "data/format.h"

#include <hdf5.h>

/* Fails with "PATH: cannot DOING: the innermost reason that HDF5 gives". */
int h5_fail(ls_error *error, int code, const char *path, const char *doing);

/* Passes a status through; of a failure (negative) it keeps HDF5's reason for h5_fail, so that
 * what is open can be closed before. */
int64_t h5_keep(int64_t status);

/* A new file in the 1.8 format (whose metadata carries checksums), without time stamps: the same
 * contents are the same bytes. Negative on failure. */
hid_t h5_create(const char *path);

/* A file in memory: the caller's to free, also where what was done with it failed. */
typedef struct h5_memory {
    void *bytes;
    size_t length; /* 0 until the file is closed, and where it could not be finished */
} h5_memory;

/* The same in memory: the bytes that a file on the disk would have, made without a system call.
 * *out, which stays where it is until then, has them after H5Fclose. `path` is its name in errors.
 */
hid_t h5_create_in_memory(const char *path, h5_memory *out);

/* An existing file of these, to add to; closes nothing. Negative on failure. */
hid_t h5_reopen(const char *path);

/* A part's type in the file (little-endian) and in memory. */
hid_t h5_stored_type(const part_form *form);
hid_t h5_memory_type(const part_form *form);

/* Writers: negative on failure. Texts are UTF-8 of a fixed length, padded with NUL. */
int h5_put_text(hid_t object, const char *name, const char *text);
int h5_put_integer(hid_t object, const char *name, int64_t value);
int h5_put_names(hid_t object, const char *name, const class_names *names);
int h5_put_crcs(hid_t object, const char *name, const uint32_t *crcs, int64_t count);
/* A contiguous data set of `rank` dimensions; the returned id is the caller's to close. */
hid_t h5_put_dataset(hid_t parent, const char *name, hid_t type, int rank, const hsize_t *extent,
                     hid_t memory_type, const void *values);
/* One that has room for its values, which whoever makes it puts into the file, at *place bytes from
 * its start, once HDF5 has closed it. */
hid_t h5_put_room(hid_t parent, const char *name, hid_t type, int rank, const hsize_t *extent,
                  int64_t *place);
hid_t h5_put_part(hid_t parent, const part_form *form, const void *values); /* as above */
/* A one-dimensional data set of `count` texts of `width` bytes each. */
int h5_put_texts(hid_t parent, const char *name, const char *texts, int64_t count, size_t width);

/* An object of a file that is being read: `path` names the file, `where` the object ("/images"). */
typedef struct h5_object {
    hid_t id;
    const char *path;
    const char *where;
} h5_object;

/* Opens for reading. LS_BAD_INPUT says what is wrong with the file: absent, unreadable, not HDF5,
 * truncated. HDF5's file locks are not taken: files of this format are never changed in place. */
int h5_open(const char *path, h5_object *out, ls_error *error);
/* The same of a file's bytes, which are not needed afterwards: HDF5 has a copy. */
int h5_open_bytes(const char *path, h5_memory of, h5_object *out, ls_error *error);
/* Opens the group or data set `where` of a file. Nothing in these formats is a link to somewhere
 * else, and a data set's values lie in its file, in one piece and as they are: what is otherwise is
 * refused, for to read it is to read other files, or more than the file has. */
int h5_open_object(const h5_object *file, const char *where, H5O_type_t type, h5_object *out,
                   ls_error *error);
/* Of the file that an open object is in: its bytes, and no more can be read of it. */
hsize_t h5_file_bytes(hid_t object);
void h5_close(h5_object *self); /* file, group or data set; a closed one is fine */

/* Readers of attributes: LS_BAD_INPUT names file, object and attribute, what was expected and
 * what was found. */
int h5_get_text(const h5_object *self, const char *name, char *out, size_t capacity,
                ls_error *error);
int h5_get_integer(const h5_object *self, const char *name, int64_t minimum, int64_t maximum,
                   int64_t *out, ls_error *error);
int h5_get_names(const h5_object *self, const char *name, class_names *out, ls_error *error);
/* Exactly `count` values, allocated into *out. */
int h5_get_crcs(const h5_object *self, const char *name, int64_t count, uint32_t **out,
                ls_error *error);

/* Checks a data set's type ("uint8"), rank and, once read, its extent. */
int h5_check_dataset(const h5_object *self, hid_t type, const char *type_name, int rank,
                     hsize_t *extent, ls_error *error);
/* Its type and rank are the form's; its extents go into the form. */
int h5_check_part(const h5_object *self, part_form *form, ls_error *error);
/* Reads all of it, in this machine's types: no more than `form` says. */
int h5_read_part(const h5_object *self, const part_form *form, void *out, ls_error *error);
/* LS_BAD_INPUT where a data set has more values than its file: who reads them has them made up, in
 * as much memory as it says. */
int h5_check_stored(const h5_object *set, ls_error *error);
/* A one-dimensional data set of exactly `count` texts of less than `width` bytes, terminated and
 * padded with NUL into out[count * width]. */
int h5_get_texts(const h5_object *file, const char *where, int64_t count, size_t width, char *out,
                 ls_error *error);

#endif
