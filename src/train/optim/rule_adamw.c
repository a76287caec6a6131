/* adamw: Loshchilov and Hutter's: Adam whose decay is decoupled from the gradient. Its options are
 * adam's. */
#include "train/optim/adam_family.h"

static int update(const void *own, const rule_update *update, ls_error *error) {
    return adam_family_update(own, true, update, error);
}

const optimizer_rule rule_adamw = {
    .name = "adamw",
    .takes_options_of = "adam",
    .moments = adam_family_moments,
    .update = update,
    .pairs = adam_family_pairs,
};
