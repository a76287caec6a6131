/* Durations as people read them. */
#ifndef LOCKSTEP_REPORT_TEXT_DURATION_H
#define LOCKSTEP_REPORT_TEXT_DURATION_H

typedef struct duration_text {
    char text[64];
} duration_text;

/* "0.84 s" below a minute, then "2 min 0 s", then "1 h 2 min 3 s"; NAN is "-". Rounded before it
 * is split, so that 119.96 s is "2 min 0 s" and never "1 min 60 s". */
duration_text duration(double seconds);

#endif
