#include "checkpoint/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 1 << 18 }; /* stays in a core's cache */

static int add_all(int file, const char *path, sha256 *digest, char *piece, int64_t *bytes,
                   ls_error *error) {
    *bytes = 0;
    for (;;) {
        ssize_t got = read(file, piece, PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
        if (got == 0)
            return LS_OK;
        sha256_add(digest, piece, (size_t)got);
        *bytes += got;
    }
}

int checkpoint_file_digest(const char *path, char hex[FORMAT_DIGEST_BYTES], int64_t *bytes,
                           ls_error *error) {
    sha256 digest;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    char *piece = malloc(PIECE);
    int status = piece ? sha256_start(&digest, error) : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK) {
        status = add_all(file, path, &digest, piece, bytes, error);
        sha256_finish(&digest, hex);
    }
    free(piece);
    close(file);
    return status;
}
