/* Kernels of fixed-point execution: binary dot products by XOR and popcount, and chains of elementwise operations.

   Compiled once on the machine by abcost/core/kernels.py. Activations lie channels last; a bit is 1 for +1 and 0 for
   -1, the first channel in the lowest bit of a pixel's first byte. Real values are multiples of 2**-F in double, as in
   abcost/core/interpret.py: every operation here gives the bits that it gives there.
*/
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define LANES 8   /* output channels of a vector */
#define PIXELS 4  /* output positions that share a load of weights */
#define MOST_WORDS 1024 /* of the bits that one output reads */
#define MOST_TAPS 1024  /* of a window */
#define MOST_TILE 4096

typedef uint64_t words __attribute__((vector_size(8 * LANES)));

static inline words ones(words x) {
#ifdef __AVX512VPOPCNTDQ__
    return (words)_mm512_popcnt_epi64((__m512i)x);
#else
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    x += x >> 8;
    x += x >> 16;
    x += x >> 32;
    return x & 0xff;
#endif
}

/* A binary convolution of one group. Sizes of padding, stride and dilation: down, across. */
struct convolution {
    int64_t height, width, pixel_bytes, first_byte, group_bytes;
    int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int64_t out_height, out_width, out_channels, first_channel, channels;
    int64_t padded_channels; /* a multiple of LANES */
    int64_t taps, row_words;
};

/* The bits that an output position reads, tap by tap; taps outside the map are 0 and listed in `outside`. */
static int gather(const struct convolution *c, const uint8_t *image, int64_t oy, int64_t ox, uint64_t *row,
                  int *outside) {
    int missing = 0;
    uint8_t *to = (uint8_t *)row;
    const int whole = c->group_bytes == c->pixel_bytes && c->dilation_w == 1;
    const int64_t x0 = ox * c->stride_w - c->pad_w;
    row[c->row_words - 1] = 0;
    for (int64_t ky = 0; ky < c->kernel_h; ky++) {
        const int64_t y = oy * c->stride_h - c->pad_h + ky * c->dilation_h;
        const int64_t line = c->kernel_w * c->group_bytes;
        if (y < 0 || y >= c->height) {
            memset(to, 0, (size_t)line);
            for (int64_t kx = 0; kx < c->kernel_w; kx++) outside[missing++] = (int)(ky * c->kernel_w + kx);
        } else if (whole && x0 >= 0 && x0 + c->kernel_w <= c->width) {
            memcpy(to, image + (y * c->width + x0) * c->pixel_bytes, (size_t)line);
        } else {
            for (int64_t kx = 0; kx < c->kernel_w; kx++) {
                const int64_t x = x0 + kx * c->dilation_w;
                uint8_t *tap = to + kx * c->group_bytes;
                if (x < 0 || x >= c->width) {
                    memset(tap, 0, (size_t)c->group_bytes);
                    outside[missing++] = (int)(ky * c->kernel_w + kx);
                } else {
                    memcpy(tap, image + (y * c->width + x) * c->pixel_bytes + c->first_byte, (size_t)c->group_bytes);
                }
            }
        }
        to += line;
    }
    return missing;
}

/* Sums of signs for output positions [from, to) of a batch, counted through all images.
   weights: row_words x padded_channels;  tap_sums: taps of the window x padded_channels, the sum of a tap's weights;
   out: positions x out_channels;  extremes: the least and the largest sum, kept if they are further out. */
void abcost_convolve(const struct convolution *c, const uint8_t *bits, const uint64_t *weights,
                     const int32_t *tap_sums, int32_t *out, int64_t from, int64_t to, int32_t *extremes) {
    uint64_t rows[PIXELS][MOST_WORDS];
    int outside[PIXELS][MOST_TAPS];
    int missing[PIXELS];
    const int64_t map = c->out_height * c->out_width, in_map = c->height * c->width * c->pixel_bytes;
    const int32_t taps = (int32_t)c->taps;
    int32_t lows[2 * LANES] = {0}, highs[2 * LANES] = {0};
    for (int64_t at = from; at < to; at += PIXELS) {
        const int64_t count = to - at < PIXELS ? to - at : PIXELS;
        for (int64_t p = 0; p < count; p++) {
            const int64_t place = (at + p) % map;
            missing[p] = gather(c, bits + (at + p) / map * in_map, place / c->out_width, place % c->out_width,
                                rows[p], outside[p]);
        }
        for (int64_t p = count; p < PIXELS; p++) memset(rows[p], 0, sizeof(uint64_t) * (size_t)c->row_words);
        for (int64_t o = 0; o < c->padded_channels; o += 2 * LANES) {
            const int two = o + LANES < c->padded_channels;
            words sums[PIXELS][2];
            memset(sums, 0, sizeof sums);
            const uint64_t *w = weights + o;
            if (two) {
                for (int64_t k = 0; k < c->row_words; k++, w += c->padded_channels) {
                    words left, right;
                    memcpy(&left, w, sizeof left);
                    memcpy(&right, w + LANES, sizeof right);
                    for (int p = 0; p < PIXELS; p++) {
                        sums[p][0] += ones(left ^ rows[p][k]);
                        sums[p][1] += ones(right ^ rows[p][k]);
                    }
                }
            } else {
                for (int64_t k = 0; k < c->row_words; k++, w += c->padded_channels) {
                    words left;
                    memcpy(&left, w, sizeof left);
                    for (int p = 0; p < PIXELS; p++) sums[p][0] += ones(left ^ rows[p][k]);
                }
            }
            for (int64_t p = 0; p < count; p++) {
                int32_t *dots = out + (at + p) * c->out_channels + c->first_channel + o;
                const int64_t left = c->channels - o < 2 * LANES ? c->channels - o : 2 * LANES;
                int32_t part[2 * LANES];
                for (int j = 0; j < LANES; j++) part[j] = taps - 2 * (int32_t)sums[p][0][j];
                for (int j = 0; j < LANES; j++) part[LANES + j] = taps - 2 * (int32_t)sums[p][1][j];
                for (int m = 0; m < missing[p]; m++) {
                    const int32_t *tap = tap_sums + outside[p][m] * c->padded_channels + o;
                    for (int j = 0; j < LANES; j++) part[j] += tap[j];
                    if (two)
                        for (int j = LANES; j < 2 * LANES; j++) part[j] += tap[j];
                }
                if (left == 2 * LANES) {
                    for (int j = 0; j < 2 * LANES; j++) {
                        lows[j] = part[j] < lows[j] ? part[j] : lows[j];
                        highs[j] = part[j] > highs[j] ? part[j] : highs[j];
                    }
                    memcpy(dots, part, sizeof part);
                } else {
                    for (int64_t j = 0; j < left; j++) {
                        lows[j] = part[j] < lows[j] ? part[j] : lows[j];
                        highs[j] = part[j] > highs[j] ? part[j] : highs[j];
                        dots[j] = part[j];
                    }
                }
            }
        }
    }
    for (int j = 0; j < 2 * LANES; j++) {
        extremes[0] = lows[j] < extremes[0] ? lows[j] : extremes[0];
        extremes[1] = highs[j] > extremes[1] ? highs[j] : extremes[1];
    }
}

#define SUMS 4 /* vectors of output channels that are summed at once */

typedef double reals __attribute__((vector_size(8 * LANES)));

/* Sums of real values times real weights, for positions as above: group 0 of 1, 8 bytes a channel.
   x: channels last; weights: taps x padded_channels (a multiple of SUMS * LANES). Exact, so in any order. */
void abcost_real_convolve(const struct convolution *c, const double *x, const double *weights, double *out,
                          int64_t from, int64_t to) {
    static _Thread_local double rows[PIXELS][MOST_WORDS * 8];
    int outside[MOST_TAPS];
    const int64_t map = c->out_height * c->out_width, in_map = c->height * c->width * c->pixel_bytes;
    for (int64_t at = from; at < to; at += PIXELS) {
        const int64_t count = to - at < PIXELS ? to - at : PIXELS;
        for (int64_t p = 0; p < count; p++) {
            const int64_t place = (at + p) % map;
            gather(c, (const uint8_t *)x + (at + p) / map * in_map, place / c->out_width, place % c->out_width,
                   (uint64_t *)rows[p], outside);
        }
        for (int64_t p = count; p < PIXELS; p++) memset(rows[p], 0, sizeof(double) * (size_t)c->taps);
        for (int64_t o = 0; o < c->padded_channels; o += SUMS * LANES) {
            reals sums[PIXELS][SUMS];
            memset(sums, 0, sizeof sums);
            const double *w = weights + o;
            for (int64_t k = 0; k < c->taps; k++, w += c->padded_channels) {
                reals held[SUMS];
                memcpy(held, w, sizeof held);
                for (int p = 0; p < PIXELS; p++)
                    for (int v = 0; v < SUMS; v++) sums[p][v] += held[v] * rows[p][k];
            }
            for (int64_t p = 0; p < count; p++) {
                double part[SUMS * LANES];
                const int64_t left = c->channels - o < SUMS * LANES ? c->channels - o : SUMS * LANES;
                memcpy(part, sums[p], sizeof part);
                memcpy(out + (at + p) * c->out_channels + o, part, sizeof(double) * (size_t)left);
            }
        }
    }
}

/* Sums over windows without padding, channels last. */
void abcost_pool_sum(const double *x, int64_t images, int64_t height, int64_t width, int64_t channels, int64_t kernel_h,
                     int64_t kernel_w, int64_t stride_h, int64_t stride_w, int64_t out_width, double *out) {
    const int64_t out_height = (height - kernel_h) / stride_h + 1;
    for (int64_t n = 0; n < images; n++)
        for (int64_t oy = 0; oy < out_height; oy++)
            for (int64_t ox = 0; ox < out_width; ox++) {
                double *restrict y = out + ((n * out_height + oy) * out_width + ox) * channels;
                for (int64_t k = 0; k < kernel_h * kernel_w; k++) {
                    const int64_t row = oy * stride_h + k / kernel_w, column = ox * stride_w + k % kernel_w;
                    const double *restrict from = x + ((n * height + row) * width + column) * channels;
                    if (k == 0)
                        memcpy(y, from, sizeof(double) * (size_t)channels);
                    else
                        for (int64_t c = 0; c < channels; c++) y[c] += from[c];
                }
            }
}

static void pack_row(const uint8_t *one, int64_t channels, uint8_t *bits) {
    int64_t c = 0;
    for (; c + 8 <= channels; c += 8) {
        uint8_t byte = 0;
        for (int j = 0; j < 8; j++) byte |= (uint8_t)(one[c + j] << j);
        bits[c / 8] = byte;
    }
    if (c < channels) {
        uint8_t byte = 0;
        for (int j = 0; c + j < channels; j++) byte |= (uint8_t)(one[c + j] << j);
        bits[c / 8] = byte;
    }
}

/* Packs signs, positions x channels; returns how many are neither -1 nor +1 (then the bits are of no use). */
int64_t abcost_pack(const double *x, int64_t positions, int64_t channels, uint8_t *bits) {
    const int64_t bytes = (channels + 7) / 8;
    int64_t others = 0;
    for (int64_t p = 0; p < positions; p++) {
        const double *row = x + p * channels;
        for (int64_t b = 0; b < bytes; b++) {
            uint8_t byte = 0;
            for (int64_t c = 8 * b; c < channels && c < 8 * b + 8; c++) {
                byte |= (uint8_t)((row[c] > 0) << (c & 7));
                others += (row[c] != 1) & (row[c] != -1);
            }
            bits[p * bytes + b] = byte;
        }
    }
    return others;
}

/* The two values that bits stand for. */
void abcost_unpack(const uint8_t *bits, int64_t positions, int64_t channels, double low, double high, double *x) {
    const int64_t bytes = (channels + 7) / 8;
    for (int64_t p = 0; p < positions; p++)
        for (int64_t c = 0; c < channels; c++)
            x[p * channels + c] = bits[p * bytes + (c >> 3)] >> (c & 7) & 1 ? high : low;
}

enum { FROM_SUMS, AFFINE, ADD, SUBTRACT, MULTIPLY, ADD_CONSTANT, TIMES_CONSTANT, CLAMP, PRELU, NEGATE, MAXIMUM, MINIMUM,
       MAXIMUM_CONSTANT, MINIMUM_CONSTANT, DECIDE, PACK };

/* One operation on a tile. A place is a buffer of the tile's length, or a tensor that is walked through. */
struct place {
    void *base;
    int64_t walked; /* 0: a buffer; else bytes of an element */
};
struct operation {
    int64_t code, to, left, right;
    const double *constant, *other; /* of the tile's length: the value; factor and addend; level and gain */
    double low, high;               /* the two values of a decision */
    int64_t at_zero;                /* 1: a difference of 0 decides for `high` */
    int64_t stored;                 /* whether the result is a real value of a register */
};
struct met { /* least and largest: before what is cut off, and of the result before it wraps; values that wrapped */
    double least, largest, lowest, highest, overflows;
};

#define EACH(n) for (int64_t i = 0; i < (n); i++)
#define CUT(expression)                      \
    EACH(n) {                                \
        const double v = (expression);       \
        least = v < least ? v : least;       \
        largest = v > largest ? v : largest; \
        y[i] = floor(v * grid) * step;       \
    }                                        \
    break

static void operate(const struct operation *op, double *restrict y, const double *restrict a,
                    const double *restrict b, int64_t n, double grid, double step, struct met *met) {
    const double *restrict c = op->constant;
    const double *restrict d = op->other;
    double least = met->least, largest = met->largest;
    switch (op->code) {
        case AFFINE: CUT(a[i] * c[i] + d[i]);
        case ADD: CUT(a[i] + b[i]);
        case SUBTRACT: CUT(a[i] - b[i]);
        case MULTIPLY: CUT(a[i] * b[i]);
        case ADD_CONSTANT: CUT(a[i] + c[i]);
        case TIMES_CONSTANT: CUT(a[i] * c[i]);
        case CLAMP: CUT(a[i] < op->low ? op->low : a[i] > op->high ? op->high : a[i]);
        case PRELU:
            EACH(n) {
                const double v = a[i] * c[i];
                least = v < least ? v : least;
                largest = v > largest ? v : largest;
                const double cut = floor(v * grid) * step;
                y[i] = a[i] >= 0 ? a[i] : cut;
            }
            break;
        case NEGATE: EACH(n) y[i] = -a[i]; break;
        case MAXIMUM: EACH(n) y[i] = a[i] > b[i] ? a[i] : b[i]; break;
        case MINIMUM: EACH(n) y[i] = a[i] < b[i] ? a[i] : b[i]; break;
        case MAXIMUM_CONSTANT: EACH(n) y[i] = a[i] > c[i] ? a[i] : c[i]; break;
        case MINIMUM_CONSTANT: EACH(n) y[i] = a[i] < c[i] ? a[i] : c[i]; break;
        case DECIDE:
            EACH(n) {
                const double v = (a[i] - c[i]) * d[i];
                y[i] = v > 0 || (op->at_zero && v == 0) ? op->high : op->low;
            }
            break;
    }
    met->least = least;
    met->largest = largest;
}

static void from_sums(double *restrict y, const int32_t *restrict sums, int64_t n) {
    EACH(n) y[i] = sums[i];
}

/* Notes the range of a result and wraps it into the register. cut: the result is what `met` has, cut to the grid. */
static void store(double *restrict y, int64_t n, double grid, double step, double half, int cut, struct met *met) {
    double lowest = met->lowest, highest = met->highest;
    int64_t moved = 0;
    if (cut) {
        lowest = floor(met->least * grid) * step;
        highest = floor(met->largest * grid) * step;
    } else {
        EACH(n) {
            lowest = y[i] < lowest ? y[i] : lowest;
            highest = y[i] > highest ? y[i] : highest;
        }
    }
    met->lowest = lowest;
    met->highest = highest;
    if (half <= 0 || (lowest >= -half && highest < half)) return;
    EACH(n) {
        const double v = y[i] + half;
        const double held = v - floor(v / (2 * half)) * (2 * half) - half;
        moved += held != y[i];
        y[i] = held;
    }
    met->overflows += (double)moved;
}

static void pack(const struct operation *op, const double *restrict a, int64_t n, int64_t channels, uint8_t *bits) {
    const double *restrict c = op->constant;
    const double *restrict d = op->other;
#ifdef __AVX512F__
    if (channels % 8 == 0) {
        const __m512d zero = _mm512_setzero_pd();
        for (int64_t i = 0; i < n; i += 8) {
            const __m512d v =
                _mm512_mul_pd(_mm512_sub_pd(_mm512_loadu_pd(a + i), _mm512_loadu_pd(c + i)), _mm512_loadu_pd(d + i));
            bits[i / 8] = op->at_zero ? _mm512_cmp_pd_mask(v, zero, _CMP_GE_OQ) : _mm512_cmp_pd_mask(v, zero, _CMP_GT_OQ);
        }
        return;
    }
#endif
    uint8_t one[MOST_TILE];
    EACH(n) {
        const double v = (a[i] - c[i]) * d[i];
        one[i] = v > 0 || (op->at_zero && v == 0);
    }
    for (int64_t p = 0; p < n / channels; p++) pack_row(one + p * channels, channels, bits + p * ((channels + 7) / 8));
}

/* Runs a chain on elements [from, to) of tensors whose last axis has `channels` elements, tile by tile.
   tile: a multiple of channels, at most MOST_TILE; from and to: multiples of channels. half: 2**(width-1-F), 0 if values
   do not wrap. met: one for each operation, kept where nothing is further out. */
void abcost_chain(const struct operation *operations, int64_t count, const struct place *places, struct met *met,
                  int64_t channels, int64_t tile, int64_t from, int64_t to, double grid, double half) {
    const double step = 1 / grid;
    for (int64_t at = from; at < to; at += tile) {
        const int64_t n = to - at < tile ? to - at : tile;
        for (int64_t k = 0; k < count; k++) {
            const struct operation *op = operations + k;
#define PLACE(p) ((void *)((char *)places[p].base + places[p].walked * at))
            if (op->code == PACK) {
                uint8_t *bits = (uint8_t *)places[op->to].base + at / channels * ((channels + 7) / 8);
                pack(op, PLACE(op->left), n, channels, bits);
                continue;
            }
            double *y = PLACE(op->to);
            if (op->code == FROM_SUMS)
                from_sums(y, PLACE(op->left), n);
            else
                operate(op, y, PLACE(op->left), PLACE(op->right), n, grid, step, met + k);
            if (op->stored) store(y, n, grid, step, half, op->code >= AFFINE && op->code <= CLAMP, met + k);
        }
    }
}
