/* The lines about ranks that are steadily slow (facts/pace.h). */
#ifndef LOCKSTEP_REPORT_RUN_STRAGGLER_H
#define LOCKSTEP_REPORT_RUN_STRAGGLER_H

#include "base/text_buffer.h"
#include "report/facts/records.h"

/* A line a straggler, that names rank, host and device, by how much it is slow and in how many
 * steps, what the waits cost, and on a GPU its clock against the others' and what held it back;
 * nothing where nobody is steadily slow. `before` stands in front of each line. facts, ranks:
 * [count], of a run that trained for `seconds`. */
void straggler_text(text_buffer *out, const char *before, const rank_facts *facts,
                    const rank_epoch *ranks, int count, double seconds);

#endif
