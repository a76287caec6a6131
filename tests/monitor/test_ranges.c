/* What a profiler sees of the program's ranges.
 *     test_ranges PROFILER, with NVTX_INJECTION64_PATH naming the same file */
#include "check.h"
#include "cuda/device/ranges.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    const char *seen = library ? dlsym(library, "nvtx_seen") : NULL;
    if (!seen) {
        printf("Bail out! %s\n", argc == 2 ? dlerror() : "no profiler named");
        return 1;
    }
    cuda_range_begin(NULL, "forward");
    for (int layer = 1; layer <= 2; layer++) {
        cuda_range_begin(NULL, layer == 1 ? "conv1" : "fc1");
        cuda_range_end(NULL);
    }
    cuda_range_end(NULL);
    CHECK(strcmp(seen, "{lockstep:forward{lockstep:conv1}{lockstep:fc1}}") == 0, "'%s'", seen);
    check_case("ranges nest, in the program's own domain");
    return check_done();
}
