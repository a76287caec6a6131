/* What a reader will look for in vain: columns of summary.csv that are empty in some runs. */
#include "report/page/html_parts.h"

#include "report/picture/plot_svg.h"

static const struct {
    const char *column, *what, *why;
    const char *reason; /* a column that says why; NULL: none does */
} things[] = {
    {"final_test_accuracy", "accuracy on test images", "the run evaluated none", NULL},
    {"waiting_seconds", "waiting for the slowest rank", "the run is of an older version", NULL},
    {"memory_planned_bytes", "memory by kind", "the run is of an older version", NULL},
    {"gpu_utilisation_mean", "GPUs: utilisation, memory and clocks over time",
     "the run had no GPU that NVML tells of", NULL},
    {"gpu_energy_joules", "energy of GPUs", "the run had no GPU that NVML tells of", NULL},
    {"cpu_energy_joules", "energy of CPU packages", "the counters could not be read", "cpu_energy"},
    {"certificate_hash", "a certificate of samples and parameters", "--certificate off", NULL},
    {"loader_images_per_second", "what the loader alone would deliver",
     "the images are pixels, so nothing is decoded", NULL},
};

static void add_item(text_buffer *out, size_t thing, const finished_run *first, size_t missing,
                     size_t runs) {
    const char *told = things[thing].reason ? finished_run_text(first, things[thing].reason) : "";
    text_add(out, "<li>");
    plot_escape(out, things[thing].what);
    text_add(out, ": not in %zu of %zu run%s (", missing, runs, runs == 1 ? "" : "s");
    plot_escape(out, told[0] ? told : things[thing].why);
    text_add(out, ")</li>\n");
}

void html_unmeasured(text_buffer *out, const configuration_list *configurations) {
    for (size_t thing = 0; thing < sizeof things / sizeof things[0]; thing++) {
        const finished_run *first = NULL;
        size_t missing = 0, runs = 0;
        for (size_t index = 0; index < configurations->count; index++)
            for (size_t run = 0; run < configurations->items[index].count; run++, runs++) {
                const finished_run *at = configurations->items[index].runs[run];
                if (finished_run_text(at, things[thing].column)[0])
                    continue;
                missing++;
                first = first ? first : at;
            }
        if (missing > 0)
            add_item(out, thing, first, missing, runs);
    }
}
