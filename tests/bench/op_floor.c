/* Each op's time against its floor (floor.h), as a table and as CSV.
 *
 *   op_floor DEVICE OUT.csv [--small] [--threads N] [--precisions fp32,bf16,...] [--batches 64,...]
 *
 * Exit codes: 3 where the device is missing or lacks a precision. */
#include "floor.h"

#include <stdlib.h>
#include <string.h>

typedef struct arguments {
    const char *device, *csv;
    char precisions[64], batches[64];
    int threads;
    bool small;
} arguments;

static int usage(void) {
    fprintf(stderr, "usage: op_floor DEVICE OUT.csv [--small] [--threads N] [--precisions LIST] "
                    "[--batches LIST]\n");
    return 2;
}

static bool parse(int argc, char **argv, arguments *out) {
    if (argc < 3)
        return false;
    *out = (arguments){.device = argv[1], .csv = argv[2], .threads = 1};
    strcpy(out->precisions, "fp32");
    strcpy(out->batches, "64");
    for (int i = 3; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--small") == 0)
            out->small = true;
        else if (strcmp(argv[i], "--threads") == 0 && more)
            out->threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "--precisions") == 0 && more)
            snprintf(out->precisions, sizeof out->precisions, "%s", argv[++i]);
        else if (strcmp(argv[i], "--batches") == 0 && more)
            snprintf(out->batches, sizeof out->batches, "%s", argv[++i]);
        else
            return false;
    }
    return true;
}

static void run_precision(floor_bench *self, const char *name, const char *batches) {
    ls_error error = {0};
    char list[64], *rest = list, *batch;
    self->precision = precision_of(name);
    floor_must(self->device->is->check_precision(self->device, self->precision, &error), &error);
    self->product_rate = floor_product_rate(self);
    printf("\n%s: matrix product %.2f TFLOP/s\n", name, self->product_rate / 1e12);
    printf("%-24s %-5s %-26s %10s %10s  %-8s %7s\n", "op", "type", "shape", "us", "floor us",
           "bound by", "reached");
    snprintf(list, sizeof list, "%s", batches);
    while ((batch = strtok_r(rest, ",", &rest)))
        floor_layers(self, atoi(batch));
    floor_tokens(self);
    floor_streams(self);
}

int main(int argc, char **argv) {
    static floor_bench bench;
    arguments a;
    if (!parse(argc, argv, &a))
        return usage();
    setvbuf(stdout, NULL, _IOLBF, 0); /* it may be ended at any row */
    FILE *csv = fopen(a.csv, "w");
    if (!csv) {
        fprintf(stderr, "op_floor: cannot write %s\n", a.csv);
        return 2;
    }
    setvbuf(csv, NULL, _IOLBF, 0);
    floor_open(&bench, a.device, a.threads, a.small);
    bench.csv = csv;
    printf("%s, %s: device copy %.1f GB/s (read plus written)\n", bench.device->facts.name,
           bench.device->facts.library, bench.copy_rate / 1e9);
    fprintf(csv, "op,precision,shape,seconds,bytes,flop,floor_seconds,bound,share,bar\n");
    char *rest = a.precisions, *name;
    while ((name = strtok_r(rest, ",", &rest)))
        run_precision(&bench, name, a.batches);
    floor_close(&bench);
    return fclose(csv) ? 1 : 0;
}
