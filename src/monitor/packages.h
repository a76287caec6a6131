/* The energy of a host's CPU packages, as Linux counts it in its powercap zones (Documentation/
 * power/powercap/powercap.rst: RAPL, of Intel's and of AMD's processors): /sys/class/powercap/
 * intel-rapl:N, energy_uj. Since Linux 5.10 only root reads them where nobody gave leave; virtual
 * machines have none. LOCKSTEP_POWERCAP names another folder (tests). */
#ifndef LOCKSTEP_MONITOR_PACKAGES_H
#define LOCKSTEP_MONITOR_PACKAGES_H

#include "base/error.h"

typedef struct packages packages;

/* All packages of this host. LS_FAILED with why they are not to be had: no zone of a package, or
 * one that may not be read. */
int packages_open(packages **out, ls_error *error);
void packages_close(packages *self); /* NULL is fine */

int packages_count(const packages *self);

/* Joules since packages_open, all packages together; NAN from the first read that fails. A counter
 * begins anew after some ten minutes at full power and more: read more often than that. NULL: NAN.
 */
double packages_joules(packages *self);

#endif
