/* trace.json: spans in the Trace Event Format, which Perfetto and chrome://tracing open. A process
 * a rank; in it a row (a thread of the format) for the compute stream, as many for collectives as
 * were under way at once, and one for the loader's thread. */
#ifndef LOCKSTEP_REPORT_RUN_CHROME_TRACE_H
#define LOCKSTEP_REPORT_RUN_CHROME_TRACE_H

#include "base/error.h"
#include "base/span.h"
#include "report/facts/records.h"

#include <stddef.h>

/* Spans of one rank and row stand in the order in which they began. `note` is kept in the file. */
int chrome_trace_write(const char *folder, const run_facts *facts, const span *spans, size_t count,
                       const char *note, ls_error *error);

#endif
