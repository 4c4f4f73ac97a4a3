/* MTCNN's three networks in 8-bit integers, each fused from pixels to answers, for CPUs with AVX-512 VNNI.
 *
 * Pictures are rows of RGBX, one byte each. Between layers a value is kept as an unsigned byte of its own scale per
 * channel (quantise.py makes the numbers); a layer sums bytes times signed bytes exactly in 32 bits, then works in
 * floating point: gain and shift give the real value in steps of the output, PReLU is applied as it is, and the offset
 * and a saturating rounding make the next byte. The last layers stay in floating point.
 *
 * Weights lie in the order in which they are used: block of 16 outputs, row, column, four inputs; 64 bytes a step.
 * Every loop has a fixed shape, so that the sums stay in registers: PX pixels by OB blocks of 16 outputs.
 * Some blocks compute a few pixels more than there are; buffers have SPARE pixels of room for them.
 */
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define INLINE TARGET static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))
#define SPARE 16
#define ANSWERS 5

typedef struct {
    const int8_t *weights;
    const float *gain, *shift, *slope, *offset; /* one per output, a multiple of 16 outputs */
} Layer;

typedef struct {
    const float *weights; /* ANSWERS rows of inputs */
    const float *bias;    /* ANSWERS */
} Head;

INLINE __m512i four_bytes(const uint8_t *from) {
    int32_t value;
    memcpy(&value, from, sizeof value);
    return _mm512_set1_epi32(value);
}

INLINE __m512 activated(__m512i sum, const Layer *layer, int channel) {
    __m512 z = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(layer->gain + channel),
                               _mm512_loadu_ps(layer->shift + channel));
    __mmask16 below = _mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_mask_mul_ps(z, below, z, _mm512_loadu_ps(layer->slope + channel));
}

INLINE void store_bytes(uint8_t *to, __m512 value, const Layer *layer, int channel) {
    __m512i steps = _mm512_cvtps_epi32(_mm512_add_ps(value, _mm512_loadu_ps(layer->offset + channel)));
    steps = _mm512_max_epi32(steps, _mm512_setzero_si512());
    _mm_storeu_si128((__m128i *)to, _mm512_cvtusepi32_epi8(steps));
}

/* Sums of PX neighbouring pixels by OB blocks. A step in x is `pixel` bytes; each pixel gives `quads` groups of four. */
INLINE void sums(const uint8_t *const *rows, size_t at, size_t pixel, int size, int quads, const Layer *layer, int block,
                 int PX, int OB, __m512i *sum) {
    const size_t length = (size_t)size * size * quads * 64;
    const int8_t *weights = layer->weights + block * length;
    for (int i = 0; i < PX * OB; i++)
        sum[i] = _mm512_setzero_si512();
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++)
            for (int quad = 0; quad < quads; quad++, weights += 64) {
                const uint8_t *from = rows[y] + at + x * pixel + 4 * quad;
                __m512i kernel[8];
                for (int o = 0; o < OB; o++)
                    kernel[o] = _mm512_loadu_si512(weights + o * length);
                for (int p = 0; p < PX; p++) {
                    __m512i bytes = four_bytes(from + p * pixel);
                    for (int o = 0; o < OB; o++)
                        sum[p * OB + o] = _mm512_dpbusd_epi32(sum[p * OB + o], bytes, kernel[o]);
                }
            }
}

/* One row of a layer: `count` pixels, `blocks` blocks of outputs. */
INLINE void row_of(const uint8_t *const *rows, size_t pixel, int count, int size, int quads, int blocks,
                   const Layer *layer, int PX, int OB, uint8_t *to) {
    for (int block = 0; block < blocks; block += OB)
        for (int x = 0; x < count; x += PX) {
            __m512i sum[PX * OB];
            sums(rows, x * pixel, pixel, size, quads, layer, block, PX, OB, sum);
            for (int p = 0; p < PX; p++)
                for (int o = 0; o < OB; o++) {
                    const int channel = 16 * (block + o);
                    store_bytes(to + ((size_t)(x + p) * blocks) * 16 + channel,
                                activated(sum[p * OB + o], layer, channel), layer, channel);
                }
        }
}

INLINE float dot(const float *a, const float *b, int count) {
    __m512 total = _mm512_setzero_ps();
    for (int i = 0; i < count; i += 16)
        total = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), total);
    return _mm512_reduce_add_ps(total);
}

/* ---- P-Net: a whole level, row by row; only the rows that a window needs are kept */

/* First convolution, 2x2 maximum and PReLU. With a falling slope the largest result may come from the smallest sum. */
TARGET static void pnet_first(const uint8_t *in, size_t stride, int count, const Layer *layer, uint8_t *to) {
    __m512i kernel[9];
    for (int i = 0; i < 9; i++)
        kernel[i] = _mm512_loadu_si512(layer->weights + 64 * i);
    for (int i = 0; i < count; i++, in += 8, to += 16) {
        __m512i sum[4];
        for (int k = 0; k < 4; k++)
            sum[k] = _mm512_setzero_si512();
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 4; x++) {
                __m512i bytes = four_bytes(in + y * stride + 4 * x);
                for (int k = 0; k < 4; k++) {
                    const int down = y - k / 2, right = x - k % 2;
                    if (down >= 0 && down < 3 && right >= 0 && right < 3)
                        sum[k] = _mm512_dpbusd_epi32(sum[k], bytes, kernel[3 * down + right]);
                }
            }
        __m512i most = _mm512_max_epi32(_mm512_max_epi32(sum[0], sum[1]), _mm512_max_epi32(sum[2], sum[3]));
        __m512i least = _mm512_min_epi32(_mm512_min_epi32(sum[0], sum[1]), _mm512_min_epi32(sum[2], sum[3]));
        store_bytes(to, _mm512_max_ps(activated(most, layer, 0), activated(least, layer, 0)), layer, 0);
    }
}

typedef struct {
    int32_t *cells; /* pairs: column, row */
    float *answers; /* ANSWERS each */
    int room, found;
} Finds;

TARGET static void pnet_last(const uint8_t *const *rows, int count, int row, const Layer *layer, const Head *head,
                             float threshold, Finds *finds) {
    enum { PX = 8, OB = 2 };
    for (int x = 0; x < count; x += PX) {
        __m512i sum[PX * OB];
        sums(rows, (size_t)x * 16, 16, 3, 4, layer, 0, PX, OB, sum);
        for (int p = 0; p < PX && x + p < count; p++) {
            float features[32];
            for (int o = 0; o < OB; o++)
                _mm512_storeu_ps(features + 16 * o, activated(sum[p * OB + o], layer, 16 * o));
            const float score = head->bias[0] + dot(features, head->weights, 32);
            if (!(score > threshold))
                continue;
            if (finds->found < finds->room) {
                finds->cells[2 * finds->found] = x + p;
                finds->cells[2 * finds->found + 1] = row;
                float *answer = finds->answers + ANSWERS * finds->found;
                answer[0] = score;
                for (int k = 1; k < ANSWERS; k++)
                    answer[k] = head->bias[k] + dot(features, head->weights + 32 * k, 32);
            }
            finds->found++;
        }
    }
}

/* The cells of a level whose score exceeds the threshold; returns how many there are, of which the first `room` are
 * written, or -1 without memory. Width and height are even and at least 12. */
EXPORT TARGET int faceanond_pnet(const uint8_t *picture, size_t stride, int width, int height, const Layer *layers,
                                 const Head *head, float threshold, int32_t *cells, float *answers, int room) {
    const int columns = (width - 2) / 2, lines = (height - 2) / 2;
    const size_t row = (size_t)(columns + SPARE) * 16;
    uint8_t *memory = calloc(6, row);
    if (memory == NULL)
        return -1;
    uint8_t *first[3], *second[3];
    for (int i = 0; i < 3; i++) {
        first[i] = memory + i * row;
        second[i] = memory + (3 + i) * row;
    }
    Finds finds = {cells, answers, room, 0};
    for (int y = 0; y < lines; y++) {
        pnet_first(picture + 2 * (size_t)y * stride, stride, columns, layers, first[y % 3]);
        if (y < 2)
            continue;
        const uint8_t *window[3] = {first[(y - 2) % 3], first[(y - 1) % 3], first[y % 3]};
        row_of(window, 16, columns - 2, 3, 3, 1, layers + 1, 8, 1, second[y % 3]);
        if (y < 4)
            continue;
        const uint8_t *next[3] = {second[(y - 2) % 3], second[(y - 1) % 3], second[y % 3]};
        pnet_last(next, columns - 4, y - 4, layers + 2, head, threshold, &finds);
    }
    free(memory);
    return finds.found;
}

/* ---- R- and O-Net: one crop after the other, everything in the first caches */

/* A square layer: side by side pixels of `channels` bytes, of which `quads` groups of four count. */
INLINE void layer_of(const uint8_t *in, int side, int channels, int quads, int size, int blocks, const Layer *layer,
                     int PX, int OB, uint8_t *to) {
    const int count = side - size + 1;
    const size_t row = (size_t)side * channels;
    for (int y = 0; y < count; y++) {
        const uint8_t *rows[3];
        for (int i = 0; i < size; i++)
            rows[i] = in + (y + i) * row;
        row_of(rows, channels, count, size, quads, blocks, layer, PX, OB, to + (size_t)y * count * blocks * 16);
    }
}

/* Maxima of size x size windows, two pixels apart; windows end at the picture's edge. */
INLINE void maxima(const uint8_t *in, int side, int channels, int size, int count, uint8_t *to) {
    for (int y = 0; y < count; y++)
        for (int x = 0; x < count; x++)
            for (int c = 0; c < channels; c += 16) {
                __m128i most = _mm_setzero_si128();
                for (int v = 2 * y; v < 2 * y + size && v < side; v++)
                    for (int u = 2 * x; u < 2 * x + size && u < side; u++) {
                        const uint8_t *from = in + ((size_t)v * side + u) * channels + c;
                        most = _mm_max_epu8(most, _mm_loadu_si128((const __m128i *)from));
                    }
                _mm_storeu_si128((__m128i *)(to + ((size_t)y * count + x) * channels + c), most);
            }
}

/* The dense layer over `quads` groups of four bytes, and the answers. */
INLINE void answer_of(const uint8_t *in, int quads, int outputs, const Layer *layer, const Head *head, float *answer) {
    float features[256];
    for (int block = 0; block < outputs / 16; block += 8) {
        __m512i sum[8];
        for (int o = 0; o < 8; o++)
            sum[o] = _mm512_setzero_si512();
        for (int quad = 0; quad < quads; quad++) {
            __m512i bytes = four_bytes(in + 4 * quad);
            for (int o = 0; o < 8; o++) {
                const int8_t *weights = layer->weights + ((size_t)(block + o) * quads + quad) * 64;
                sum[o] = _mm512_dpbusd_epi32(sum[o], bytes, _mm512_loadu_si512(weights));
            }
        }
        for (int o = 0; o < 8; o++)
            _mm512_storeu_ps(features + 16 * (block + o), activated(sum[o], layer, 16 * (block + o)));
    }
    for (int k = 0; k < ANSWERS; k++)
        answer[k] = head->bias[k] + dot(features, head->weights + k * outputs, outputs);
}

/* count crops of 24x24 to ANSWERS numbers each. */
EXPORT TARGET void faceanond_rnet(const uint8_t *crops, int count, const Layer *layers, const Head *head,
                                  float *answers) {
    enum { CROP = 24 * 24 * 4 };
    uint8_t a[(24 * 24 + SPARE) * 32] = {0}, b[(24 * 24 + SPARE) * 32] = {0};
    for (int i = 0; i < count; i++) {
        memcpy(b, crops + (size_t)i * CROP, CROP);
        layer_of(b, 24, 4, 1, 3, 2, layers, 6, 2, a);
        maxima(a, 22, 32, 3, 11, b);
        layer_of(b, 11, 32, 7, 3, 3, layers + 1, 9, 1, a);
        maxima(a, 9, 48, 3, 4, b);
        layer_of(b, 4, 48, 12, 2, 4, layers + 2, 3, 4, a);
        answer_of(a, 144, 128, layers + 3, head, answers + (size_t)ANSWERS * i);
    }
}

/* count crops of 48x48 to ANSWERS numbers each. */
EXPORT TARGET void faceanond_onet(const uint8_t *crops, int count, const Layer *layers, const Head *head,
                                  float *answers) {
    enum { CROP = 48 * 48 * 4 };
    uint8_t a[(48 * 48 + SPARE) * 32] = {0}, b[(48 * 48 + SPARE) * 32] = {0};
    for (int i = 0; i < count; i++) {
        memcpy(b, crops + (size_t)i * CROP, CROP);
        layer_of(b, 48, 4, 1, 3, 2, layers, 6, 2, a);
        maxima(a, 46, 32, 3, 23, b);
        layer_of(b, 23, 32, 8, 3, 4, layers + 1, 7, 1, a);
        maxima(a, 21, 64, 3, 10, b);
        layer_of(b, 10, 64, 16, 3, 4, layers + 2, 8, 1, a);
        maxima(a, 8, 64, 2, 4, b);
        layer_of(b, 4, 64, 16, 2, 8, layers + 3, 3, 4, a);
        answer_of(a, 288, 256, layers + 4, head, answers + (size_t)ANSWERS * i);
    }
}

/* ---- Pictures from the planes of a frame: bilinear samples, black beyond the edge, then RGBX */

typedef struct {
    const uint8_t *pixels;
    size_t stride;
    int32_t width, height, black;
} Plane;

typedef struct {
    int16_t red_y, red_v, green_y, green_u, green_v, blue_y, blue_u; /* a quarter of each, in 1/32768 */
    int16_t black;
} Colours;

enum { LANES = 32, SPAN = 64 }; /* results at once, and the source pixels that they may reach over */

/* Where LANES results look in a row: places in a span, how many of those it needs, and how much the next place counts,
 * in 1/65536. */
typedef struct {
    int count;
    __m512i place, share;
} Across;

typedef struct {
    int row;
    uint16_t share;
} Down;

/* The place `at`, or, for a picture that goes on beyond its edge, the nearest one inside. */
INLINE double held(double at, int length, int clamp) {
    return !clamp ? at : at < 0.0 ? 0.0 : at > length - 1.0 ? length - 1.0 : at;
}

INLINE Down down_at(double at) {
    const double whole = floor(at);
    Down down = {(int)whole, (uint16_t)((at - whole) * 65535.0)};
    return down;
}

/* Result i of `lanes` looks at `from` + i * `step`; the places are counted from column `first`. */
INLINE Across across_from(int first, double from, double step, int lanes, int width, int clamp) {
    int16_t place[LANES];
    uint16_t share[LANES];
    Across across;
    for (int i = 0; i < LANES; i++) {
        const double at = held(from + (i < lanes ? i : lanes - 1) * step, width, clamp), whole = floor(at);
        place[i] = (int16_t)((int)whole - first);
        share[i] = (uint16_t)((at - whole) * 65535.0);
    }
    across.count = place[LANES - 1] + 2;
    across.place = _mm512_loadu_si512(place);
    across.share = _mm512_loadu_si512(share);
    return across;
}

/* a and b in shares that sum up to one; 16 bits each. */
INLINE __m512i mixed(__m512i a, __m512i b, __m512i share_of_b) {
    const __m512i share_of_a = _mm512_xor_si512(share_of_b, _mm512_set1_epi16(-1));
    return _mm512_adds_epu16(_mm512_mulhi_epu16(a, share_of_a), _mm512_mulhi_epu16(b, share_of_b));
}

/* SPAN pixels of a row from column `first` on, only those of `wanted` and inside the plane; 256 times their value. */
INLINE void row_span(const Plane *plane, int row, int first, __mmask64 wanted, __m512i *low, __m512i *high) {
    __m512i bytes = _mm512_set1_epi8((char)plane->black);
    if (row >= 0 && row < plane->height) {
        const int before = first < 0 ? -first : 0, after = first + SPAN - plane->width;
        __mmask64 inside = wanted;
        inside = before >= SPAN ? 0 : inside >> before << before;
        inside = after >= SPAN ? 0 : after > 0 ? inside << after >> after : inside;
        const uint8_t *from = plane->pixels + (ptrdiff_t)row * (ptrdiff_t)plane->stride + first;
        bytes = _mm512_mask_loadu_epi8(bytes, inside, from);
    }
    *low = _mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(bytes)), 8);
    *high = _mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(bytes, 1)), 8);
}

/* `count` (at most SPAN) columns of the plane from `first` on, mixed of two rows; 256 times their value. */
INLINE void mixed_rows(const Plane *plane, Down down, int first, int count, __m512i *low, __m512i *high) {
    const __mmask64 wanted = count >= SPAN ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1;
    const __m512i share = _mm512_set1_epi16((int16_t)down.share);
    __m512i next_low, next_high;
    row_span(plane, down.row, first, wanted, low, high);
    row_span(plane, down.row + 1, first, wanted, &next_low, &next_high);
    *low = mixed(*low, next_low, share);
    *high = mixed(*high, next_high, share);
}

INLINE __m512i picked(__m512i low, __m512i high, const Across *across) {
    const __m512i next = _mm512_add_epi16(across->place, _mm512_set1_epi16(1));
    return mixed(_mm512_permutex2var_epi16(low, across->place, high), _mm512_permutex2var_epi16(low, next, high),
                 across->share);
}

INLINE __m256i rounded(__m512i value) {
    value = _mm512_srai_epi16(_mm512_add_epi16(value, _mm512_set1_epi16(16)), 5);
    return _mm512_cvtusepi16_epi8(_mm512_max_epi16(value, _mm512_setzero_si512()));
}

INLINE __m512i scaled(__m512i value, int16_t by) { return _mm512_mulhrs_epi16(value, _mm512_set1_epi16(by)); }

/* y, u and v are 256 times their value. */
INLINE void store_rgbx(uint8_t *to, int lanes, __m512i y, __m512i u, __m512i v, const Colours *colours) {
    const __m512i middle = _mm512_set1_epi16(128 * 128);
    y = _mm512_sub_epi16(_mm512_srli_epi16(y, 1), _mm512_set1_epi16((int16_t)(128 * colours->black)));
    u = _mm512_sub_epi16(_mm512_srli_epi16(u, 1), middle);
    v = _mm512_sub_epi16(_mm512_srli_epi16(v, 1), middle);
    const __m256i red = rounded(_mm512_add_epi16(scaled(y, colours->red_y), scaled(v, colours->red_v)));
    const __m256i green = rounded(_mm512_add_epi16(
        scaled(y, colours->green_y), _mm512_add_epi16(scaled(u, colours->green_u), scaled(v, colours->green_v))));
    const __m256i blue = rounded(_mm512_add_epi16(scaled(y, colours->blue_y), scaled(u, colours->blue_u)));
    for (int half = 0; half < 2; half++) {
        const __m512i r = _mm512_cvtepu8_epi32(half ? _mm256_extracti128_si256(red, 1) : _mm256_castsi256_si128(red));
        const __m512i g = _mm512_cvtepu8_epi32(half ? _mm256_extracti128_si256(green, 1) : _mm256_castsi256_si128(green));
        const __m512i b = _mm512_cvtepu8_epi32(half ? _mm256_extracti128_si256(blue, 1) : _mm256_castsi256_si128(blue));
        const int left = lanes - 16 * half;
        const __mmask16 mask = left >= 16 ? 0xffff : left > 0 ? (__mmask16)((1 << left) - 1) : 0;
        _mm512_mask_storeu_epi32(to + 64 * half, mask,
                                 _mm512_or_si512(r, _mm512_or_si512(_mm512_slli_epi32(g, 8), _mm512_slli_epi32(b, 16))));
    }
}

/* A width x height picture whose pixel (0, 0) begins at (x, y) of the luma and which covers zoom_x by zoom_y of it.
 * `share` is the chroma planes' size as a share of the luma's. With `fine`, the luma is the mean of four samples. */
TARGET static void resample(const Plane *planes, double share, double x, double y, double zoom_x, double zoom_y,
                            int fine, const Colours *colours, uint8_t *to, size_t stride, int width, int height) {
    /* A span holds what a zoom of up to 4 needs; far places would overflow. Neither is ever asked for. */
    if (!(fabs(x) < 1e6 && fabs(y) < 1e6 && zoom_x > 0 && zoom_x <= 4.0 && zoom_y > 0 && zoom_y < 1e3)) {
        for (int row = 0; row < height; row++)
            memset(to + (size_t)row * stride, 0, (size_t)width * 4);
        return;
    }
    const int most = (int)((SPAN - 3) / (zoom_x > 0.5 ? zoom_x : 0.5)), lanes = most > LANES ? LANES : most;
    const Plane *u = planes + 1, *v = planes + 2;
    for (int left = 0; left < width; left += lanes) {
        const int now = width - left < lanes ? width - left : lanes;
        /* A pixel's centre lies half a pixel behind its beginning, in either picture. */
        const double centre = x + (left + 0.5) * zoom_x, begin = centre - (fine ? 0.25 : 0) * zoom_x - 0.5;
        const int first = (int)floor(held(begin, planes->width, fine));
        const Across luma = across_from(first, begin, zoom_x, now, planes->width, fine);
        const Across more = across_from(first, centre + 0.25 * zoom_x - 0.5, zoom_x, now, planes->width, fine);
        const int begins = (int)floor(held(share * centre - 0.5, u->width, fine));
        const Across chroma = across_from(begins, share * centre - 0.5, share * zoom_x, now, u->width, fine);
        const int count = fine ? more.count : luma.count;
        for (int row = 0; row < height; row++) {
            const double middle = y + (row + 0.5) * zoom_y;
            __m512i low, high, value, u_value, v_value;
            if (fine) {
                mixed_rows(planes, down_at(held(middle - 0.25 * zoom_y - 0.5, planes->height, 1)), first, count, &low, &high);
                value = _mm512_avg_epu16(picked(low, high, &luma), picked(low, high, &more));
                mixed_rows(planes, down_at(held(middle + 0.25 * zoom_y - 0.5, planes->height, 1)), first, count, &low, &high);
                value = _mm512_avg_epu16(value, _mm512_avg_epu16(picked(low, high, &luma), picked(low, high, &more)));
            } else {
                mixed_rows(planes, down_at(middle - 0.5), first, count, &low, &high);
                value = picked(low, high, &luma);
            }
            const Down half = down_at(held(share * middle - 0.5, u->height, fine));
            mixed_rows(u, half, begins, chroma.count, &low, &high);
            u_value = picked(low, high, &chroma);
            mixed_rows(v, half, begins, chroma.count, &low, &high);
            v_value = picked(low, high, &chroma);
            store_rgbx(to + (size_t)row * stride + (size_t)left * 4, now, value, u_value, v_value, colours);
        }
    }
}

/* The whole of the planes as a width x height picture. */
EXPORT TARGET void faceanond_level(const Plane *planes, double share, const Colours *colours, uint8_t *to,
                                   size_t stride, int width, int height) {
    resample(planes, share, 0.0, 0.0, (double)planes->width / width, (double)planes->height / height, 1, colours, to,
             stride, width, height);
}

/* count squares, each left, top and length in pixels of the luma, as pictures of side x side. */
EXPORT TARGET void faceanond_crops(const Plane *planes, double share, const Colours *colours, const double *squares,
                                   int count, uint8_t *to, int side) {
    for (int i = 0; i < count; i++, squares += 3) {
        const double zoom = squares[2] / side;
        resample(planes, share, squares[0], squares[1], zoom, zoom, 0, colours, to + (size_t)i * side * side * 4,
                 (size_t)side * 4, side, side);
    }
}

/* Whether this CPU and its operating system run the functions above. */
EXPORT int faceanond_supported(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
