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
typedef int32_t counts __attribute__((vector_size(4 * LANES)));
typedef double reals __attribute__((vector_size(8 * LANES)));
typedef int64_t masks __attribute__((vector_size(8 * LANES)));

static inline words words_at(const uint64_t *p) {
    words x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline reals reals_at(const double *p) {
    reals x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline counts counts_at(const int32_t *p) {
    counts x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline counts fewer(counts x, counts y) {
    const counts mask = x < y;
    return (x & mask) | (y & ~mask);
}

static inline counts more(counts x, counts y) {
    const counts mask = x > y;
    return (x & mask) | (y & ~mask);
}

static inline reals chosen(masks mask, reals yes, reals no) {
    return (reals)((mask & (masks)yes) | (~mask & (masks)no));
}

static inline reals lower(reals x, reals y) {
#ifdef __AVX512F__
    return (reals)_mm512_min_pd((__m512d)x, (__m512d)y);
#else
    return chosen(x < y, x, y);
#endif
}

static inline reals higher(reals x, reals y) {
#ifdef __AVX512F__
    return (reals)_mm512_max_pd((__m512d)x, (__m512d)y);
#else
    return chosen(x > y, x, y);
#endif
}

static inline reals down(reals x) {
#ifdef __AVX512F__
    return (reals)_mm512_roundscale_pd((__m512d)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
    for (int j = 0; j < LANES; j++) x[j] = floor(x[j]);
    return x;
#endif
}

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
    int64_t padded_channels; /* a multiple of 2 * LANES */
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
    counts low = {0}, high = {0};
    for (int64_t at = from; at < to; at += PIXELS) {
        const int64_t count = to - at < PIXELS ? to - at : PIXELS;
        for (int64_t p = 0; p < count; p++) {
            const int64_t place = (at + p) % map;
            missing[p] = gather(c, bits + (at + p) / map * in_map, place / c->out_width, place % c->out_width,
                                rows[p], outside[p]);
        }
        for (int64_t p = count; p < PIXELS; p++) memset(rows[p], 0, sizeof(uint64_t) * (size_t)c->row_words);
        for (int64_t o = 0; o < c->padded_channels; o += 2 * LANES) {
            /* one name for each sum: in an array they would go through memory */
            words a0 = {0}, a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
            const uint64_t *w = weights + o;
            for (int64_t k = 0; k < c->row_words; k++, w += c->padded_channels) {
                const words w0 = words_at(w), w1 = words_at(w + LANES);
                a0 += ones(w0 ^ rows[0][k]), a1 += ones(w1 ^ rows[0][k]);
                b0 += ones(w0 ^ rows[1][k]), b1 += ones(w1 ^ rows[1][k]);
                c0 += ones(w0 ^ rows[2][k]), c1 += ones(w1 ^ rows[2][k]);
                d0 += ones(w0 ^ rows[3][k]), d1 += ones(w1 ^ rows[3][k]);
            }
            const words sums[PIXELS][2] = {{a0, a1}, {b0, b1}, {c0, c1}, {d0, d1}};
            for (int64_t p = 0; p < count; p++) {
                int32_t *dots = out + (at + p) * c->out_channels + c->first_channel + o;
                const int64_t left = c->channels - o;
                counts first = taps - 2 * __builtin_convertvector(sums[p][0], counts);
                counts second = taps - 2 * __builtin_convertvector(sums[p][1], counts);
                for (int m = 0; m < missing[p]; m++) {
                    const int32_t *tap = tap_sums + outside[p][m] * c->padded_channels + o;
                    first += counts_at(tap), second += counts_at(tap + LANES);
                }
                if (left >= 2 * LANES) {
                    low = fewer(low, fewer(first, second)), high = more(high, more(first, second));
                    memcpy(dots, &first, sizeof first);
                    memcpy(dots + LANES, &second, sizeof second);
                } else {
                    for (int64_t j = 0; j < left; j++) {
                        const int32_t dot = j < LANES ? first[j] : second[j - LANES];
                        low[0] = dot < low[0] ? dot : low[0];
                        high[0] = dot > high[0] ? dot : high[0];
                        dots[j] = dot;
                    }
                }
            }
        }
    }
    for (int j = 0; j < LANES; j++) {
        extremes[0] = low[j] < extremes[0] ? low[j] : extremes[0];
        extremes[1] = high[j] > extremes[1] ? high[j] : extremes[1];
    }
}

#define SUMS 4 /* vectors of output channels that are summed at once */

/* Sums of real values times real weights, for positions as above: group 0 of 1, 8 bytes a channel.
   x: channels last; weights: taps x padded_channels (a multiple of SUMS * LANES). Exact, so in any order. */
void abcost_real_convolve(const struct convolution *geometry, const double *x, const double *weights, double *out,
                          int64_t from, int64_t to) {
    static _Thread_local double rows[PIXELS][MOST_WORDS * 8];
    int outside[MOST_TAPS];
    const int64_t map = geometry->out_height * geometry->out_width, in_map = geometry->height * geometry->width * geometry->pixel_bytes;
    for (int64_t at = from; at < to; at += PIXELS) {
        const int64_t count = to - at < PIXELS ? to - at : PIXELS;
        for (int64_t p = 0; p < count; p++) {
            const int64_t place = (at + p) % map;
            gather(geometry, (const uint8_t *)x + (at + p) / map * in_map, place / geometry->out_width, place % geometry->out_width,
                   (uint64_t *)rows[p], outside);
        }
        for (int64_t p = count; p < PIXELS; p++) memset(rows[p], 0, sizeof(double) * (size_t)geometry->taps);
        for (int64_t o = 0; o < geometry->padded_channels; o += SUMS * LANES) {
            /* one name for each sum: in an array they would go through memory in every turn */
            reals a0 = {0}, a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
            reals c0 = a0, c1 = a0, c2 = a0, c3 = a0, d0 = a0, d1 = a0, d2 = a0, d3 = a0;
            const double *w = weights + o;
            for (int64_t k = 0; k < geometry->taps; k++, w += geometry->padded_channels) {
                const reals w0 = reals_at(w), w1 = reals_at(w + LANES);
                const reals w2 = reals_at(w + 2 * LANES), w3 = reals_at(w + 3 * LANES);
                double x = rows[0][k];
                a0 += w0 * x, a1 += w1 * x, a2 += w2 * x, a3 += w3 * x;
                x = rows[1][k];
                b0 += w0 * x, b1 += w1 * x, b2 += w2 * x, b3 += w3 * x;
                x = rows[2][k];
                c0 += w0 * x, c1 += w1 * x, c2 += w2 * x, c3 += w3 * x;
                x = rows[3][k];
                d0 += w0 * x, d1 += w1 * x, d2 += w2 * x, d3 += w3 * x;
            }
            const reals sums[PIXELS][SUMS] = {{a0, a1, a2, a3}, {b0, b1, b2, b3}, {c0, c1, c2, c3}, {d0, d1, d2, d3}};
            const int64_t left = geometry->channels - o < SUMS * LANES ? geometry->channels - o : SUMS * LANES;
            for (int64_t p = 0; p < count; p++)
                memcpy(out + (at + p) * geometry->out_channels + o, sums[p], sizeof(double) * (size_t)left);
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
    int64_t on_grid;                /* the result needs no cutting */
    int64_t stored;                 /* whether the result is a real value of a register */
};
struct met { /* least and largest: before what is cut off, and of the result before it wraps; values that wrapped */
    double least, largest, lowest, highest, overflows;
};

#define EACH(n) for (int64_t i = 0; i < (n); i++)
#define BLOCK (4 * LANES) /* four sums of each kind hide how long a minimum takes */

/* One vector: v is noted, y what is stored of it. A, B, C, D: the operands. */
#define PART(q, V, Y)                                                                      \
    {                                                                                      \
        const int64_t j = i + q * LANES;                                                   \
        const reals A = reals_at(a + j), B = reals_at(b + j), C = reals_at(c + j), D = reals_at(d + j); \
        const reals v = (V), r = (Y);                                                      \
        (void)A, (void)B, (void)C, (void)D;                                                \
        lo##q = lower(v, lo##q), hi##q = higher(v, hi##q);                                 \
        memcpy(y + j, &r, sizeof r);                                                       \
    }
#define NOTED(V, Y)                                                                                 \
    {                                                                                               \
        const reals start = {0};                                                                    \
        reals lo0 = start + met->least, lo1 = lo0, lo2 = lo0, lo3 = lo0;                            \
        reals hi0 = start + met->largest, hi1 = hi0, hi2 = hi0, hi3 = hi0;                          \
        for (int64_t i = 0; i < n; i += BLOCK) { PART(0, V, Y) PART(1, V, Y) PART(2, V, Y) PART(3, V, Y) } \
        lo0 = lower(lower(lo0, lo1), lower(lo2, lo3)), hi0 = higher(higher(hi0, hi1), higher(hi2, hi3)); \
        for (int j = 0; j < LANES; j++) {                                                           \
            met->least = lo0[j] < met->least ? lo0[j] : met->least;                                 \
            met->largest = hi0[j] > met->largest ? hi0[j] : met->largest;                           \
        }                                                                                           \
    }
/* On the grid already, or cut to it. */
#define CUT(V)                                 \
    if (op->on_grid)                           \
        NOTED(V, v)                            \
    else                                       \
        NOTED(V, down(v * grid) * step)        \
    break

/* n: a multiple of BLOCK. */
static void operate_blocks(const struct operation *op, double *restrict y, const double *restrict a,
                           const double *restrict b, const double *restrict c, const double *restrict d, int64_t n,
                           double grid, double step, struct met *met) {
    switch (op->code) {
        case AFFINE: CUT(A * C + D);
        case ADD: CUT(A + B);
        case SUBTRACT: CUT(A - B);
        case MULTIPLY: CUT(A * B);
        case ADD_CONSTANT: CUT(A + C);
        case TIMES_CONSTANT: CUT(A * C);
        case CLAMP: CUT(lower(higher(A, start + op->low), start + op->high));
        case PRELU: NOTED(A * C, chosen(A >= 0, A, down(v * grid) * step)) break;
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
}

/* What is behind the last whole block is done with its last element repeated, which notes nothing new. */
static void operate(const struct operation *op, double *y, const double *a, const double *b, int64_t n, double grid,
                    double step, struct met *met) {
    const double *c = op->constant ? op->constant : a, *d = op->other ? op->other : a;
    const int64_t whole = n / BLOCK * BLOCK, rest = n - whole;
    operate_blocks(op, y, a, b, c, d, whole, grid, step, met);
    if (rest) {
        double last[5][BLOCK];
        EACH(BLOCK) {
            const int64_t from = whole + (i < rest ? i : rest - 1);
            last[0][i] = a[from], last[1][i] = b[from], last[2][i] = c[from], last[3][i] = d[from];
        }
        operate_blocks(op, last[4], last[0], last[1], last[2], last[3], BLOCK, grid, step, met);
        memcpy(y + whole, last[4], sizeof(double) * (size_t)rest);
    }
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
