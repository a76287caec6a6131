#include "input/hue.h"

#include <math.h>

typedef struct hsv {
    uint8_t hue, saturation, value;
} hsv;

static uint8_t larger(uint8_t a, uint8_t b) {
    return a > b ? a : b;
}

static uint8_t smaller(uint8_t a, uint8_t b) {
    return a < b ? a : b;
}

/* How far below the largest a channel lies, over the range of all. */
static float below_largest(uint8_t largest, uint8_t channel, float range) {
    return (float)(largest - channel) / range;
}

static hsv from_rgb(const uint8_t *rgb) {
    uint8_t red = rgb[0], green = rgb[1], blue = rgb[2];
    uint8_t most = larger(red, larger(green, blue)), least = smaller(red, smaller(green, blue));
    hsv out = {.value = most};
    if (most == least)
        return out;
    float range = (float)(most - least), sixths;
    float r = below_largest(most, red, range), g = below_largest(most, green, range),
          b = below_largest(most, blue, range);
    if (red == most)
        sixths = b - g;
    else if (green == most)
        sixths = (float)(2.0 + (double)r - (double)b);
    else
        sixths = (float)(4.0 + (double)g - (double)r);
    float circle = (float)fmod((double)sixths / 6.0 + 1.0, 1.0);
    out.hue = (uint8_t)((double)circle * 255.0);
    out.saturation = (uint8_t)((double)(range / (float)most) * 255.0);
    return out;
}

static uint8_t rounded(double value) {
    return (uint8_t)round(value);
}

static void to_rgb(const hsv *from, uint8_t *rgb) {
    double value = from->value, sixths = from->hue * 6.0 / 255.0;
    int sector = (int)sixths;
    float within = (float)(sixths - sector), saturation = (float)from->saturation / 255.0f;
    uint8_t low = rounded(value * (1.0 - (double)saturation));
    uint8_t falling = rounded(value * (1.0 - (double)(saturation * within)));
    uint8_t rising = rounded(value * (1.0 - (double)saturation * (1.0 - (double)within)));
    uint8_t most = from->value;
    const uint8_t sectors[6][3] = {{most, rising, low}, {falling, most, low},
                                   {low, most, rising}, {low, falling, most},
                                   {rising, low, most}, {most, low, falling}};
    for (int channel = 0; channel < 3; channel++)
        rgb[channel] = from->saturation == 0 ? most : sectors[sector % 6][channel];
}

void hue_turn(double turn, uint8_t *pixels, size_t count) {
    uint8_t steps = (uint8_t)(int)(turn * 255);
    for (size_t at = 0; at < 3 * count; at += 3) {
        hsv colour = from_rgb(pixels + at);
        colour.hue = (uint8_t)(colour.hue + steps);
        to_rgb(&colour, pixels + at);
    }
}
