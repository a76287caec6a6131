/* bf16 and fp16 against their definitions: each of the 65536 patterns by arithmetic, rounding at
 * and around the middle of each pair of neighbours, and fp16 against the compiler's own type. */
#include "../check.h"
#include "base/float16.h"

#include <math.h>
#include <stdbool.h>

typedef struct format {
    const char *name;
    int exponent_bits, fraction_bits;
    float (*decode)(uint16_t bits);
    uint16_t (*encode)(float value);
} format;

static const format formats[] = {{"bf16", 8, 7, bf16_to_float, bf16_of_float},
                                 {"fp16", 5, 10, fp16_to_float, fp16_of_float}};

static int field_of(const format *f, uint16_t bits) {
    return bits >> f->fraction_bits & ((1 << f->exponent_bits) - 1);
}

static int fraction_of(const format *f, uint16_t bits) {
    return bits & ((1 << f->fraction_bits) - 1);
}

static bool is_special(const format *f, uint16_t bits) { /* infinite or NaN */
    return field_of(f, bits) == (1 << f->exponent_bits) - 1;
}

/* (-1)^sign * (1 + fraction / 2^bits) * 2^(field - bias); without the 1 where the field is zero. */
static double value_of(const format *f, uint16_t bits) {
    int bias = (1 << (f->exponent_bits - 1)) - 1, field = field_of(f, bits);
    double significand = fraction_of(f, bits) / ldexp(1, f->fraction_bits) + (field ? 1 : 0);
    double magnitude = ldexp(significand, (field ? field : 1) - bias);
    return bits & 0x8000 ? -magnitude : magnitude;
}

static void patterns(const format *f) {
    for (int i = 0; i < 65536; i++) {
        uint16_t bits = (uint16_t)i;
        float got = f->decode(bits);
        bool negative = bits & 0x8000;
        if (is_special(f, bits) && fraction_of(f, bits)) {
            CHECK(isnan(got) && !!signbit(got) == negative, "%04x is %g", bits, (double)got);
            uint16_t back = f->encode(got);
            CHECK(is_special(f, back) && fraction_of(f, back) && (back & 0x8000) == (bits & 0x8000),
                  "%04x, a NaN, becomes %04x", bits, back);
            continue;
        }
        double want = is_special(f, bits) ? (negative ? -INFINITY : INFINITY) : value_of(f, bits);
        CHECK((double)got == want && !!signbit(got) == negative, "%04x is %g, expected %g", bits,
              (double)got, want);
        CHECK(f->encode(got) == bits, "%04x comes back as %04x", bits, f->encode(got));
    }
    char name[64];
    snprintf(name, sizeof name, "%s: each of 65536 patterns", f->name);
    check_case(name);
}

static void expect_rounds(const format *f, double value, uint16_t want, const char *how) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    uint16_t direct = f->encode(float_odd_of_double(value));
    CHECK(direct == (want | sign), "%a, %s, becomes %04x, expected %04x", value, how, direct,
          want | sign);
    if ((double)(float)value == value) /* a float says it by itself */
        CHECK(f->encode((float)value) == (want | sign), "%a, %s, as a float becomes %04x", value,
              how, f->encode((float)value));
}

/* The middle between `low` and the next pattern goes to the even one; a hair's breadth (of a
 * double, and of a float) to either side decides otherwise. Above the largest lies infinity, at
 * the value that the next pattern would have. */
static void rounding(const format *f) {
    for (int i = 0; i < 0x8000; i++) {
        uint16_t low = (uint16_t)i, high = (uint16_t)(i + 1);
        if (is_special(f, low))
            break;
        double above = is_special(f, high) ? 2 * value_of(f, low) - value_of(f, (uint16_t)(i - 1))
                                           : value_of(f, high);
        double middle = value_of(f, low) / 2 + above / 2;
        for (int sign = 1; sign >= -1; sign -= 2) {
            expect_rounds(f, sign * middle, low % 2 ? high : low, "in the middle");
            expect_rounds(f, sign * nextafter(middle, INFINITY), high, "just above");
            expect_rounds(f, sign * nextafter(middle, 0), low, "just below");
            expect_rounds(f, sign * (double)nextafterf((float)middle, INFINITY), high, "above");
            expect_rounds(f, sign * (double)nextafterf((float)middle, 0), low, "below");
        }
    }
    char name[64];
    snprintf(name, sizeof name, "%s: rounding around each middle, from float and double", f->name);
    check_case(name);
}

/* bf16 has no type of the compiler's here; fp16 has where _Float16 exists. */
static void compilers_own(void) {
#ifdef __FLT16_MAX__
    for (uint64_t i = 0; i < 1ull << 32; i += 1009) {
        float value = float_of_bits((uint32_t)i);
        if (isnan(value))
            continue;
        _Float16 own = (_Float16)value;
        uint16_t want;
        memcpy(&want, &own, sizeof want);
        CHECK(fp16_of_float(value) == want, "%a becomes %04x, the compiler says %04x",
              (double)value, fp16_of_float(value), want);
    }
    check_case("fp16: every 1009th float as the compiler rounds it");
#else
    printf("ok %d - fp16 as the compiler rounds it # SKIP no _Float16\n", ++check_cases);
#endif
}

int main(void) {
    for (int i = 0; i < 2; i++) {
        patterns(&formats[i]);
        rounding(&formats[i]);
    }
    compilers_own();
    return check_done();
}
