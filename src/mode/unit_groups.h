/* Units of a network that a sharded mode gathers, and whose gradients it reduces, together: the
 * blocks that the model says (graph_unit.block), of which neighbours join as long as both together
 * are no more than the largest block, so that no call is made for the few elements of a norm. A
 * group's parameters lie one after the other in the flat array. */
#ifndef LOCKSTEP_MODE_UNIT_GROUPS_H
#define LOCKSTEP_MODE_UNIT_GROUPS_H

#include "mode/store.h"
#include "model/graph.h"

typedef struct unit_groups {
    int count;
    store_span *spans; /* [count] elements of the flat array */
    int *first_unit;   /* [count + 1]: group g has units first_unit[g] .. first_unit[g + 1] - 1 */
    int *of_unit;      /* [unit_count] the group of each */
    size_t largest;    /* elements of the largest group */
} unit_groups;

int unit_groups_create(const graph *graph, unit_groups *out, ls_error *error);
void unit_groups_destroy(unit_groups *self); /* of zeroes is fine */

#endif
