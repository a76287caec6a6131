/* The pictures of a report: speedups against the ideal with their intervals, a picture a table;
 * where the training time went; throughput over the batch; memory by kind; loss and accuracy over
 * the epochs, accuracy over time and images; GPUs over time; what attempts did with their time. */
#ifndef LOCKSTEP_REPORT_PICTURE_PLOT_H
#define LOCKSTEP_REPORT_PICTURE_PLOT_H

#include "report/compare/comparison.h"
#include "report/compare/modes.h"
#include "report/picture/picture.h"

/* Reads the runs' epochs.csv, gpu.csv and attempts.csv. What cannot be read is a complaint, and is
 * missing from the pictures. Nothing is drawn yet. */
int pictures_make(picture_list *out, const comparison_list *tables,
                  const configuration_list *configurations, const modes *modes,
                  complaints *complaints, ls_error *error);

/* Draws one as an SVG element, in colours that follow the reader's light or dark scheme. */
int picture_svg(text_buffer *out, const picture *self, ls_error *error);

/* Draws all into the folder, which is made: NAME.svg; with `png` NAME.png and NAME-dark.png too.
 * LS_BAD_INPUT where it cannot be written to. */
int pictures_write(const picture_list *self, const char *folder, bool png, ls_error *error);

#endif
