/* Between the moment a thread finds that the job must end and the end of the process, what other
 * threads get from a device may be what a broken collective left there. */
#ifndef LOCKSTEP_BASE_ENDING_H
#define LOCKSTEP_BASE_ENDING_H

/* The process is about to end because of a failure that was not on the main thread. */
void ending_begin(void);

/* Does not return once ending_begin was called. Cheap: after everything by which a host thread
 * learns that work on a device, or between ranks, is done. */
void ending_hold(void);

#endif
