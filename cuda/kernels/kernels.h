/* The kernels' launchers: a .cu holds its kernels and these, and is launched from nowhere else.
 * Each puts one or two kernels into `stream` and returns what the launches returned. Pointers are
 * device memory unless said otherwise; `processors` is the GPU's number of multiprocessors, which
 * grids are sized by. Accesses are 16 bytes wide where pointers and sizes allow it, and right where
 * they do not. Where it says "type", fp32, bf16 and fp16 are meant; any other is
 * cudaErrorInvalidValue. Nothing is launched for a count of 0. C and C++. */
#ifndef LOCKSTEP_CUDA_KERNELS_KERNELS_H
#define LOCKSTEP_CUDA_KERNELS_KERNELS_H

#include "base/dtype.h"
#include "base/fingerprint.h"
#include "device/epoch.h"
#include "device/loss.h"
#include "device/squares.h"
#include "device/step_state.h"
#include "device/update.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What sums over blocks need: zero before the first kernel that is given it, used by one stream at
 * a time. Each kernel leaves it fit for the next. Updates, which may have a stream of their own,
 * are given what begins at KERNEL_UPDATES_AT in it; from KERNEL_TILES_AT to there lie counters of
 * norm.cu's tiles of channels. */
enum {
    KERNEL_SCRATCH_BYTES = 64 * 1024,
    KERNEL_TILES_AT = 49 * 1024,
    KERNEL_UPDATES_AT = 63 * 1024
};

/* --- elementwise.cu */

/* dy[i] = y[i] > 0 ? dy[i] : 0 */
cudaError_t kernel_relu_backward(cudaStream_t stream, dtype type, size_t count, const void *y,
                                 void *dy);
/* to[i] += from[i] */
cudaError_t kernel_add(cudaStream_t stream, dtype type, size_t count, const void *from, void *to);
/* y[i] = a[i] + b[i], rounded; with `relu` then max(0, .) of that */
cudaError_t kernel_join(cudaStream_t stream, dtype type, size_t count, bool relu, const void *a,
                        const void *b, void *y);
/* y[i] = z[i] * Phi(z[i]), Phi the normal distribution's, or (by_tanh) its approximation; z may be
 * y. */
cudaError_t kernel_gelu(cudaStream_t stream, dtype type, size_t count, bool by_tanh, const void *z,
                        void *y);
/* z[i] = dy[i] * the derivative of that at z[i] */
cudaError_t kernel_gelu_backward(cudaStream_t stream, dtype type, size_t count, bool by_tanh,
                                 const void *dy, void *z);
/* to[i] = from[i], rounded to nearest even */
cudaError_t kernel_cast(cudaStream_t stream, size_t count, dtype from_type, const void *from,
                        dtype to_type, void *to);

/* For i < count, with j = i / length * stride + i % length: to[j] = from[i], rounded to `type`
 * (bf16 or fp16), and the other way round. Nothing else is written. */
cudaError_t kernel_into_runs(cudaStream_t stream, size_t count, int length, int stride,
                             const float *from, dtype type, void *to);
cudaError_t kernel_out_of_runs(cudaStream_t stream, size_t count, int length, int stride,
                               dtype type, const void *from, float *to);

/* --- step.cu: what is read from or written to step_state, and to the host */

/* state->overflow = 1 where any of values[count] is infinite or NaN. */
cudaError_t kernel_check_finite(cudaStream_t stream, const float *values, size_t count,
                                step_state *state);
/* The contract of ops.clip_norm. */
cudaError_t kernel_clip_norm(cudaStream_t stream, const double *sums, size_t count, double most,
                             step_state *state);
/* The contract of ops.advance. */
cudaError_t kernel_advance(cudaStream_t stream, step_state *state, int64_t images, bool updated,
                           bool scaling);
/* *word = value, visible to the host before what follows in the stream; word: pinned memory. */
cudaError_t kernel_write_word(cudaStream_t stream, uint32_t *word, uint32_t value);

/* --- epoch.cu */

/* The contract of ops.begin_epoch. */
cudaError_t kernel_begin_epoch(cudaStream_t stream, const epoch_arguments *arguments);

/* --- sums.cu: sums in an order that only count (rows, columns) and `processors` decide */

/* The contract of ops.sums_of_squares. */
cudaError_t kernel_sums_of_squares(cudaStream_t stream, const float *values, size_t count,
                                   double *out);

/* sums[c] = sum over rows of values[rows, columns], added in fp32: the gradient of a bias. Long
 * columns are cut into slabs that `workspace` (of at least kernel_column_sums_workspace() bytes,
 * which may be 0; contents undefined) takes the partial sums of. */
size_t kernel_column_sums_workspace(int processors, dtype type, size_t rows, int columns);
cudaError_t kernel_column_sums(cudaStream_t stream, int processors, dtype type, const void *values,
                               size_t rows, int columns, float *sums, void *workspace);

/* --- direct.cu: products and convolutions without a library, sums in double, rounded once */

/* result[rows, columns] = left[rows, inner] x right[inner, columns], row-major; transposed: it lies
 * as [inner, rows], [columns, inner]. */
typedef struct product_arguments {
    int rows, columns, inner;
    bool left_transposed, right_transposed;
    bool relu; /* result = max(0, .) */
} product_arguments;

/* bias: [columns], or NULL. result_type: `type`, or fp32. */
cudaError_t kernel_product(cudaStream_t stream, dtype type, dtype result_type,
                           const product_arguments *of, const void *left, const void *right,
                           const float *bias, void *result);
/* result[r, c] = [relu](sums[r, c] + bias[c]); result may be sums, of fp32. */
cudaError_t kernel_add_bias(cudaStream_t stream, dtype type, const product_arguments *of,
                            const float *sums, const float *bias, void *result);

/* x [n, height, width, channels], weights [out_channels, kernel, kernel, channels], y [n,
 * out_height, out_width, out_channels]. */
typedef struct direct_arguments {
    int n, height, width, channels;
    int out_height, out_width, out_channels;
    int kernel, stride, padding;
    bool relu; /* forward: y = max(0, .) */
} direct_arguments;

/* y = [relu](x * weights + bias), bias NULL: none; its adjoint in x, and in the weights
 * (result_type: `type`, or fp32). */
cudaError_t kernel_convolve(cudaStream_t stream, dtype type, const direct_arguments *of,
                            const void *x, const void *weights, const float *bias, void *y);
cudaError_t kernel_convolve_back(cudaStream_t stream, dtype type, const direct_arguments *of,
                                 const void *dy, const void *weights, void *dx);
cudaError_t kernel_convolve_weights(cudaStream_t stream, dtype type, const direct_arguments *of,
                                    const void *x, const void *dy, dtype result_type,
                                    void *dweights);

/* --- fingerprint.cu */

/* The contract of ops.fingerprint, at any alignment of 4 bytes. */
cudaError_t kernel_add_fingerprint(cudaStream_t stream, int processors, const float *values,
                                   size_t first, size_t count, fingerprint *out);

/* --- loss.cu */

/* The contract of ops.softmax_cross_entropy. */
cudaError_t kernel_softmax_cross_entropy(cudaStream_t stream, int processors,
                                         const loss_arguments *arguments, void *scratch);

/* --- pool.cu: window = stride, no padding, channels last; saved: one byte an output */

typedef struct pool_arguments {
    int n, height, width, channels, window; /* of the input; window at most 16 */
    bool relu_input;
} pool_arguments;

/* Whether 32 bits count the elements on both sides. */
bool kernel_maxpool2d_fits(const pool_arguments *arguments);
cudaError_t kernel_maxpool2d_forward(cudaStream_t stream, dtype type,
                                     const pool_arguments *arguments, const void *x, void *y,
                                     uint8_t *saved);
cudaError_t kernel_maxpool2d_backward(cudaStream_t stream, dtype type,
                                      const pool_arguments *arguments, const void *dy,
                                      const void *y, const uint8_t *saved, void *dx);

/* The same, and sums[c] = dx added up over all but its channels, in fp32 and in an order that only
 * sizes and `processors` decide. kernel_maxpool2d_sums: whether it has a shape at all.
 * workspace: kernel_maxpool2d_sums_workspace() bytes, contents undefined. */
bool kernel_maxpool2d_sums(const pool_arguments *arguments);
size_t kernel_maxpool2d_sums_workspace(int processors, const pool_arguments *arguments);
cudaError_t kernel_maxpool2d_backward_sums(cudaStream_t stream, int processors, dtype type,
                                           const pool_arguments *arguments, const void *dy,
                                           const void *y, const uint8_t *saved, void *dx,
                                           float *sums, void *workspace, void *scratch);

/* --- windows.cu: max pooling of any window, stride and padding, channels last; saved: one byte an
 * output */

typedef struct window_arguments {
    int n, height, width, channels; /* of the input */
    int out_height, out_width;
    int window, stride, padding; /* window at most 16; each window holds a pixel */
    bool relu_input;
} window_arguments;

/* Whether 32 bits count the elements on both sides. */
bool kernel_windows_fit(const window_arguments *arguments);
cudaError_t kernel_windows_forward(cudaStream_t stream, dtype type,
                                   const window_arguments *arguments, const void *x, void *y,
                                   uint8_t *saved);
/* Each element of x gathers, added up in fp32, what the windows that it won hand down. */
cudaError_t kernel_windows_backward(cudaStream_t stream, dtype type,
                                    const window_arguments *arguments, const void *dy,
                                    const void *y, const uint8_t *saved, void *dx);

/* --- means.cu: global average pooling; x [n, pixels, channels], y [n, channels] */

typedef struct mean_arguments {
    int n, pixels, channels;
} mean_arguments;

/* Whether 32 bits count the elements. */
bool kernel_means_fit(const mean_arguments *arguments);
cudaError_t kernel_means_forward(cudaStream_t stream, dtype type, const mean_arguments *arguments,
                                 const void *x, void *y);
cudaError_t kernel_means_backward(cudaStream_t stream, dtype type, const mean_arguments *arguments,
                                  const void *dy, void *dx);

/* --- norm.cu: batch normalisation (device/kinds/batchnorm2d.h) of x [rows, channels]. Sums are in
 * an order that sizes and `processors` alone decide. `state`, of kernel_norm_state_bytes(), goes
 * from call to call; workspace, of kernel_norm_workspace(), does not. */

typedef struct norm_arguments {
    size_t rows; /* n * height * width */
    int channels;
    bool relu;
    double epsilon, momentum;
    /* [batchnorm2d_sums]: kernel_norm_statistics and kernel_norm_gradients leave their sums here,
     * and kernel_norm_all_* go on when other ranks' are added. NULL: these are all. */
    double *totals;
} norm_arguments;

typedef struct norm_buffers { /* [channels] each */
    const float *gamma, *beta;
    float *running_mean, *running_variance;
} norm_buffers;

/* Whether a grid and its counters have room for it. */
bool kernel_norm_fits(const norm_arguments *arguments);
size_t kernel_norm_state_bytes(int channels);
size_t kernel_norm_workspace(int processors, dtype type, const norm_arguments *arguments);

/* state of x's statistics, to which the running ones move. */
cudaError_t kernel_norm_statistics(cudaStream_t stream, int processors, dtype type,
                                   const norm_arguments *arguments, const norm_buffers *buffers,
                                   const void *x, float *state, void *workspace, void *scratch);
/* The same, or what of it kernel_norm_gradients makes, of arguments->totals. */
cudaError_t kernel_norm_all_statistics(cudaStream_t stream, const norm_arguments *arguments,
                                       const norm_buffers *buffers, float *state);
cudaError_t kernel_norm_all_gradients(cudaStream_t stream, const norm_arguments *arguments,
                                      float *state);
/* state of the running statistics, which stay. */
cudaError_t kernel_norm_running(cudaStream_t stream, const norm_arguments *arguments,
                                const norm_buffers *buffers, float *state);
/* other NULL: nothing is added. */
cudaError_t kernel_norm_forward(cudaStream_t stream, dtype type, const norm_arguments *arguments,
                                const float *state, const void *x, const void *other, void *y);

/* y: what tells where the ReLU let through; NULL: that is made again of x. */
typedef struct norm_tensors {
    const void *x, *y, *dy;
} norm_tensors;

/* dgamma, dbeta, and of state what the other needs; masked_dy: dy where the ReLU let through, NULL:
 * not wanted. */
cudaError_t kernel_norm_gradients(cudaStream_t stream, int processors, dtype type,
                                  const norm_arguments *arguments, const norm_tensors *tensors,
                                  float *state, void *masked_dy, float *dgamma, float *dbeta,
                                  void *workspace, void *scratch);
cudaError_t kernel_norm_backward(cudaStream_t stream, dtype type, const norm_arguments *arguments,
                                 const norm_tensors *tensors, const float *state, void *dx);

/* --- layernorm.cu: layer normalisation (device/kinds/layernorm.h) of x [rows, channels]. `state`,
 * of kernel_layernorm_state_bytes(), goes from forward to backward; workspace, of
 * kernel_layernorm_workspace(), does not. Sums are in an order that sizes and `processors` decide.
 */

typedef struct layernorm_arguments {
    size_t rows;
    int channels;
    double epsilon;
    const float *gamma, *beta; /* [channels] */
} layernorm_arguments;

typedef struct layernorm_gradients {
    const void *x, *dy;
    void *dx; /* NULL: not wanted */
    float *dgamma, *dbeta;
} layernorm_gradients;

size_t kernel_layernorm_state_bytes(size_t rows);
size_t kernel_layernorm_workspace(int processors, int channels);
cudaError_t kernel_layernorm_forward(cudaStream_t stream, dtype type,
                                     const layernorm_arguments *arguments, const void *x, void *y,
                                     void *state);
cudaError_t kernel_layernorm_backward(cudaStream_t stream, int processors, dtype type,
                                      const layernorm_arguments *arguments,
                                      const layernorm_gradients *gradients, const void *state,
                                      void *workspace);

/* --- dropout.cu: device/kinds/dropout.h, whose shape and draws these are */

typedef struct dropout_arguments {
    int n;
    size_t each;
    bool whole;
    int stream;
    uint32_t least; /* dropout_least */
    float scale;    /* dropout_scale */
    uint64_t seed;
    int64_t first;
    const step_state *state; /* device memory */
} dropout_arguments;

/* Whether 32 bits count the blocks of random numbers. */
bool kernel_dropout_fits(const dropout_arguments *arguments);
cudaError_t kernel_dropout(cudaStream_t stream, dtype type, const dropout_arguments *arguments,
                           const void *from, void *to);

/* --- patches.cu: device/kinds/patches.h, channels last */

typedef struct patch_arguments {
    int n, height, width, channels; /* of the image */
    int side;                       /* divides height and width */
} patch_arguments;

/* Whether 32 bits count the elements. */
bool kernel_patches_fit(const patch_arguments *arguments);
/* The image to its patches; `back`: patches to the image. */
cudaError_t kernel_move_patches(cudaStream_t stream, dtype type, const patch_arguments *arguments,
                                bool back, const void *from, void *to);

/* --- tokens.cu: device/kinds/embedding.h and tokenpool.h */

typedef struct token_arguments {
    int n, tokens, channels; /* of the class token too */
} token_arguments;

/* Whether 32 bits count the elements. */
bool kernel_tokens_fit(const token_arguments *arguments);
/* x and dx [n, tokens - 1, channels], y and dy [n, tokens, channels]; token [channels], positions
 * [tokens, channels]. */
cudaError_t kernel_embed(cudaStream_t stream, dtype type, const token_arguments *arguments,
                         const void *x, const float *token, const float *positions, void *y);
cudaError_t kernel_embed_backward(cudaStream_t stream, dtype type, const token_arguments *arguments,
                                  const void *dy, void *dx);
/* x and dx [n, tokens, channels], y and dy [n, channels]. */
cudaError_t kernel_token_pool(cudaStream_t stream, dtype type, const token_arguments *arguments,
                              bool mean, const void *x, void *y);
cudaError_t kernel_token_pool_backward(cudaStream_t stream, dtype type,
                                       const token_arguments *arguments, bool mean, const void *dy,
                                       void *dx);

/* --- attention.cu: device/kinds/attention.h, by blocks; the same bits each time */

typedef struct attention_arguments {
    int n, tokens, heads, head_dim; /* head_dim at most 128 */
} attention_arguments;

/* Whether there are kernels for it. */
bool kernel_attention_fits(const attention_arguments *arguments);
/* statistics [n, heads, tokens]: the logarithm of each row's sum of exponentials; NULL: not wanted.
 */
cudaError_t kernel_attention_forward(cudaStream_t stream, dtype type,
                                     const attention_arguments *arguments, const void *x, void *y,
                                     float *statistics);
cudaError_t kernel_attention_backward(cudaStream_t stream, dtype type,
                                      const attention_arguments *arguments, const void *x,
                                      const void *y, const void *dy, const float *statistics,
                                      void *dx);

/* --- batch.cu: batch_arguments of ops.h, channels last */

typedef struct make_batch_arguments {
    const uint8_t *images;
    const int32_t *labels;
    const int64_t *order; /* NULL: image k is images[k] */
    const int64_t *ids;   /* NULL: every sample's id is 0 */
    const step_state *state;
    int count, height, width, channels;
    int out_channels; /* at most `channels`: the same; else a multiple of 8, the others are 0 */
    float scale, shift;
    bool by_channel; /* three channels, each with its own: scales and shifts instead */
    float scales[3], shifts[3];
    uint64_t seed; /* of the augmentation */
    int crop_padding;
    bool flip;
    void *out;
    int32_t *out_labels;
} make_batch_arguments;

cudaError_t kernel_make_batch(cudaStream_t stream, dtype type,
                              const make_batch_arguments *arguments);

/* --- optimizer.cu: parameter_ranges of device/update.h, many in one launch */

/* Element i lies at i / length * stride + i % length; length 0: at i. */
typedef struct update_runs {
    uint16_t length, stride;
} update_runs;

typedef struct update_range {
    size_t first, count; /* elements of the flat arrays */
    void *packed;        /* packed[i] = parameters[first + i], rounded; NULL: none */
    /* Element first + i's gradient is left[left_first + i]; NULL: it lies in the flat array. */
    const void *left;
    size_t left_first;
    float rate_scale, weight_decay;
    dtype packed_type;                  /* of both: bf16 or fp16 */
    update_runs packed_runs, left_runs; /* how they lie */
    uint32_t first_chunk;               /* the launcher's */
} update_range;

enum { UPDATE_RANGES = 48 }; /* in one launch, whose parameters have 4 KiB */

typedef struct update_ranges {
    int count; /* 1 to UPDATE_RANGES */
    update_range of[UPDATE_RANGES];
} update_ranges;

cudaError_t kernel_adam(cudaStream_t stream, int processors, const adam_constants *constants,
                        const update_arguments *arguments, const update_ranges *ranges,
                        void *scratch);
cudaError_t kernel_sgd(cudaStream_t stream, int processors, const sgd_constants *constants,
                       const update_arguments *arguments, const update_ranges *ranges,
                       void *scratch);

/* --- average.cu */

/* The contract of ops.average. */
cudaError_t kernel_average(cudaStream_t stream, const float *values, float *average, size_t count,
                           double decay, const step_state *state);

#ifdef __cplusplus
}
#endif

#endif
