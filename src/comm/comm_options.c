#include "comm/comm_options.h"

#include "comm/comm.h"

#include <stddef.h>

#define AT(field) offsetof(comm_options, field)

static const option options[] = {
    {"comm", OPTION_CHOICE, AT(comm), "NAME", "auto", COMM_CHOICES, 0, 0,
     "Communicate between the ranks' devices by it; auto: nccl where each has a GPU of its own.",
     false},
    {"comm-timeout", OPTION_REAL, AT(timeout), "SECONDS", "300", NULL, 0, 1e6,
     "End the job where a collective of a step takes longer; 0: never.", false},
    {0}};

int comm_add_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Ranks and devices", options, offset}, error);
}
