#include "base/transfer.h"

#include <errno.h>
#include <unistd.h>

bool write_whole(int file, const void *bytes, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t count = write(file, (const char *)bytes + done, length - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count == 0)
            errno = EIO;
        if (count <= 0)
            return false;
        done += (size_t)count;
    }
    return true;
}

ssize_t read_whole(int file, void *out, size_t capacity) {
    size_t done = 0;
    while (done < capacity) {
        ssize_t count = read(file, (char *)out + done, capacity - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        if (count == 0)
            break;
        done += (size_t)count;
    }
    return (ssize_t)done;
}
