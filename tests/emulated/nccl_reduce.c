/* Types and arithmetic of NCCL's stand-in. */
#include "nccl_parts.h"

#include "base/float16.h"

size_t nccl_type_bytes(ncclDataType_t type) {
    switch (type) {
    case ncclUint8:
        return 1;
    case ncclFloat16:
    case ncclBfloat16:
        return 2;
    case ncclInt32:
    case ncclFloat32:
        return 4;
    case ncclInt64:
    case ncclFloat64:
        return 8;
    default:
        emulated_violation("nccl: type %d is not emulated", (int)type);
    }
}

const char *nccl_op_name(op_kind kind) {
    static const char *const names[] = {"allreduce", "reduce_scatter", "allgather", "broadcast",
                                        "reduce",    "send",           "receive"};
    return names[kind];
}

#define COMBINE(how, a, b)                                                                         \
    ((how) == ncclSum   ? (a) + (b)                                                                \
     : (how) == ncclMax ? ((a) > (b) ? (a) : (b))                                                  \
     : (a) < (b)        ? (a)                                                                      \
                        : (b))

#define PLAIN(element)                                                                             \
    do {                                                                                           \
        element *to = into;                                                                        \
        const element *other = from;                                                               \
        for (size_t i = 0; i < count; i++)                                                         \
            to[i] = (element)COMBINE(how, to[i], other[i]);                                        \
    } while (0)

/* Rounded after each rank, as a ring does. */
#define ROUNDED(to_float, of_float)                                                                \
    do {                                                                                           \
        uint16_t *to = into;                                                                       \
        const uint16_t *other = from;                                                              \
        for (size_t i = 0; i < count; i++) {                                                       \
            float a = to_float(to[i]), b = to_float(other[i]);                                     \
            to[i] = of_float(COMBINE(how, a, b));                                                  \
        }                                                                                          \
    } while (0)

void nccl_reduce_into(void *into, const void *from, size_t count, ncclDataType_t type,
                      ncclRedOp_t how) {
    if (how != ncclSum && how != ncclMax && how != ncclMin)
        emulated_violation("nccl: reduction %d is not emulated", (int)how);
    switch (type) {
    case ncclUint8:
        PLAIN(uint8_t);
        break;
    case ncclInt32:
        PLAIN(int32_t);
        break;
    case ncclInt64:
        PLAIN(int64_t);
        break;
    case ncclFloat32:
        PLAIN(float);
        break;
    case ncclFloat64:
        PLAIN(double);
        break;
    case ncclBfloat16:
        ROUNDED(bf16_to_float, bf16_of_float);
        break;
    case ncclFloat16:
        ROUNDED(fp16_to_float, fp16_of_float);
        break;
    default:
        emulated_violation("nccl: type %d is not reduced", (int)type);
    }
}
