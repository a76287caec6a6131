/* How ddp exchanges gradients, chosen before the first step: the buckets' sizes, and which layers
 * go as factors. What the user left open ("auto") is chosen by rank 0 from the network, measured
 * at start, and by how long the products take that factors cost; its choice is everyone's.
 *
 * A layer goes as factors where
 *   all-gather(x) + all-gather(dy) + (R-1)/R x product  <  all-reduce(the layer's bytes)
 * by a tenth and the smallest all-reduce, and by more than these times vary from call to call (half
 * of what lies between the quartiles, of all of them together): in doubt the gradient goes as it
 * is, so that the choice, and with it the bits, repeats but where the gain is just that much. The
 * product is that over the global batch; its R-th part is work that the all-reduce leaves too. */
#ifndef LOCKSTEP_MODE_EXCHANGE_H
#define LOCKSTEP_MODE_EXCHANGE_H

#include "mode/buckets.h"
#include "mode/mode.h"

/* That rule. smallest_seconds: the smallest all-reduce's. */
bool exchange_factors_win(double factor_seconds, double reduce_seconds, double spread_seconds,
                          double smallest_seconds);

/* Of the units that may come to go as factors: bytes of all ranks' rows. 0: none may. */
size_t exchange_most_factor_bytes(const mode_settings *settings);

/* Of a run whose settings give bucket_bytes. */
bucket_rule exchange_given_rule(const mode_settings *settings);

/* Fills mode->exchange (rule, factored units, what was measured). Collective. */
int exchange_choose(mode *mode, ls_error *error);

#endif
