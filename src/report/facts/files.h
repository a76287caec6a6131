/* The files in a run's folder. */
#ifndef LOCKSTEP_REPORT_FACTS_FILES_H
#define LOCKSTEP_REPORT_FACTS_FILES_H

#define SUMMARY_FILE     "summary.csv"
#define EPOCHS_FILE      "epochs.csv"
#define RANKS_FILE       "ranks.csv"
#define ATTEMPTS_FILE    "attempts.csv"
#define LAYERS_FILE      "layers.csv"
#define GPU_FILE         "gpu.csv"
#define CPU_FILE         "cpu.csv" /* as gpu.csv, of ranks on processors */
#define CERTIFICATE_FILE "certificate.csv"
#define STEPS_FILE       "steps.csv"
#define LOG_FILE         "log.txt"
#define TRACE_FILE       "trace.json"

/* Raised when a column of summary.csv, epochs.csv or ranks.csv changes its meaning or goes; a new
 * column alone does not raise it. */
#define SUMMARY_FORMAT_VERSION 1

#define CERTIFICATE_VERSION 1 /* raised when a column or a hash changes its meaning */

#endif
