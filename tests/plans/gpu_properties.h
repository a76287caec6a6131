/* The GPUs that cuDNN plans for without having them: files of what it wants to know of one. */
#ifndef LOCKSTEP_TESTS_PLANS_GPU_PROPERTIES_H
#define LOCKSTEP_TESTS_PLANS_GPU_PROPERTIES_H

#include "cuda/dnn/dnn_descriptor.h"

/* "tests/plans/h200.json" -> "h200" */
void gpu_name(const char *path, char name[32]);

/* LS_FAILED where there is no such file, or cuDNN does not take it. The caller destroys *out. */
int gpu_properties_read(const char *path, cudnnBackendDescriptor_t *out, ls_error *error);

#endif
