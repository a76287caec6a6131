/* A file that vanishes between the moment when it was listed and the one when it is read, put into
 * a program by LD_PRELOAD: the first open of VANISH_PATH removes it first. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With 64-bit offsets, as the program is built too, this is open64. */
int open(const char *path, int flags, ...) {
    int (*real)(const char *path, int flags, ...);
    void *found = dlsym(RTLD_NEXT, sizeof(off_t) == 8 ? "open64" : "open");
    const char *wanted = getenv("VANISH_PATH");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    memcpy(&real, &found, sizeof real); /* POSIX: a function's address fits a void pointer */
    if (wanted && strcmp(path, wanted) == 0)
        unlink(path);
    return real(path, flags, mode);
}
