/* Numbers as people read them. */
#ifndef LOCKSTEP_REPORT_TEXT_NUMBER_H
#define LOCKSTEP_REPORT_TEXT_NUMBER_H

/* A number, or "-" where it was not measured. "%.*f". */
typedef struct number_text {
    char text[48];
} number_text;
number_text number(double value, int decimals);
/* A fraction as "12.3%". */
number_text percent(double fraction, int decimals);

#endif
