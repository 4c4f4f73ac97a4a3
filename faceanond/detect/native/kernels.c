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

/* ---- Pictures from the planes of a frame: area averages, black beyond the edge, then RGBX */

typedef struct {
    const uint8_t *pixels;
    size_t stride;
    int32_t width, height, black;
} Plane;

typedef struct {
    int16_t red_y, red_v, green_y, green_u, green_v, blue_y, blue_u; /* a quarter of each, in 1/32768 */
    int16_t black;
} Colours;

enum { TAPS = 5, LANES = 32, SPAN = 64 };
/* Source pixels along a side that a result may be made of; results at once; source pixels that those may reach over. */

/* The neighbouring source pixels that one result is made of, and their shares, which sum up to 65535. */
typedef struct {
    int first, count;
    uint16_t share[TAPS];
} Taps;

/* Up to LANES results in a row: where they begin in the row's mixture, each one's place behind that, and shares. */
typedef struct {
    int begin, taps;
    __m512i place, share[TAPS];
} Group;

/* What lies from `begin` over a length of `zoom`, up to four source pixels: their mean, as if each source pixel were a
 * square of one colour. In a whole picture, whose length is `edge` (else 0), results that are smaller than a source pixel
 * are interpolated between two, and what would lie beyond its edge looks like the edge. */
INLINE Taps taps_at(double begin, double zoom, int edge) {
    double weight[TAPS] = {0.0}, total = 1.0, whole;
    Taps taps;
    if (zoom > 1.0 || !edge) {
        whole = floor(begin);
        taps.count = (int)ceil(zoom) + 1;
        total = 0.0;
        for (int k = 0; k < taps.count; k++) {
            weight[k] = fmax(0.0, fmin(whole + k + 1.0, begin + zoom) - fmax(whole + k, begin));
            total += weight[k];
        }
    } else {
        const double at = fmin(fmax(begin + 0.5 * zoom - 0.5, 0.0), edge - 1.0);
        whole = floor(at);
        taps.count = 2;
        weight[1] = at - whole;
    }
    taps.first = (int)whole;
    int rest = 65535;
    for (int k = taps.count - 1; k > 0; k--) {
        const int share = (int)(weight[k] * (65535.0 / total) + 0.5);
        taps.share[k] = (uint16_t)(share < rest ? share : rest);
        rest -= taps.share[k];
    }
    taps.share[0] = (uint16_t)rest;
    return taps;
}

/* How planes of one size go into a picture of `width` columns: the source columns from `first` on that take part are
 * mixed row by row (256 times the values), and the mixture is read in groups. */
typedef struct {
    double top, zoom;
    int first, count, edge;
    Group *groups;
} Plan;

INLINE int lanes_for(double zoom) {
    const int most = (int)((SPAN - TAPS) / fmax(zoom, 0.5));
    return most > LANES ? LANES : most;
}

TARGET static void plan_columns(Plan *plan, double begin, double zoom, int lanes, int width, int edge) {
    plan->first = taps_at(begin, zoom, edge).first;
    for (int left = 0; left < width; left += lanes) {
        Group *group = plan->groups + left / lanes;
        const int now = width - left < lanes ? width - left : lanes;
        int16_t place[LANES] = {0};
        uint16_t share[TAPS][LANES] = {{0}};
        for (int i = 0; i < now; i++) {
            const Taps taps = taps_at(begin + (left + i) * zoom, zoom, edge);
            if (i == 0)
                group->begin = taps.first - plan->first;
            place[i] = (int16_t)(taps.first - plan->first - group->begin);
            group->taps = taps.count;
            plan->count = taps.first - plan->first + taps.count;
            for (int k = 0; k < taps.count; k++)
                share[k][i] = taps.share[k];
        }
        group->place = _mm512_loadu_si512(place);
        for (int k = 0; k < TAPS; k++)
            group->share[k] = _mm512_loadu_si512(share[k]);
    }
}

/* Mixes the source rows that one row of results is made of. */
INLINE void mix(const Plan *plan, const Plane *plane, const Taps *taps, uint16_t *mixture) {
    const uint8_t *rows[TAPS];
    __m512i share[TAPS];
    for (int k = 0; k < taps->count; k++) {
        const int at = taps->first + k;
        rows[k] = at < 0 || at >= plane->height ? NULL : plane->pixels + (size_t)at * plane->stride;
        share[k] = _mm512_set1_epi16((int16_t)taps->share[k]);
    }
    for (int done = 0; done < plan->count; done += LANES) {
        const int column = plan->first + done, left = plan->count - done;
        __mmask32 inside = left >= LANES ? 0xffffffffu : (1u << left) - 1;
        if (column < 0)
            inside = column <= -LANES ? 0 : inside >> -column << -column;
        if (column + LANES > plane->width)
            inside &= column >= plane->width ? 0 : (1u << (plane->width - column)) - 1;
        __m512i sum = _mm512_setzero_si512();
        for (int k = 0; k < taps->count; k++) {
            __m256i bytes = _mm256_set1_epi8((char)plane->black);
            if (rows[k] != NULL && inside)
                bytes = _mm256_mask_loadu_epi8(bytes, inside, rows[k] + column);
            const __m512i value = _mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), 8);
            sum = _mm512_adds_epu16(sum, _mm512_mulhi_epu16(value, share[k]));
        }
        _mm512_storeu_si512(mixture + done, sum);
    }
}

/* The results of one group, 256 times their value. */
INLINE __m512i results(const Group *group, const uint16_t *mixture) {
    const uint16_t *from = mixture + group->begin;
    const __m512i low = _mm512_loadu_si512(from), high = _mm512_loadu_si512(from + LANES);
    __m512i sum = _mm512_setzero_si512(), place = group->place;
    for (int k = 0; k < group->taps; k++) {
        const __m512i value = _mm512_permutex2var_epi16(low, place, high);
        sum = _mm512_adds_epu16(sum, _mm512_mulhi_epu16(value, group->share[k]));
        place = _mm512_add_epi16(place, _mm512_set1_epi16(1));
    }
    return sum;
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

/* Where to draw: RGBX, (0, 0) of it at (x, y) of the luma, each pixel zoom_x by zoom_y of the luma large. */
typedef struct {
    double x, y, zoom_x, zoom_y;
    uint8_t *to;
    size_t stride;
    int width, height;
} View;

/* Bytes of working memory for a picture of `width` columns. */
INLINE size_t room_for(int width) {
    return 3 * ((size_t)(width + LANES) * sizeof(Group) + ((size_t)width * TAPS + 3 * SPAN) * sizeof(uint16_t)) + 64;
}

/* `share` is the chroma planes' size as a share of the luma's. With `edge` what lies beyond the planes looks like their
 * edge, else it is black. `room` is 64-byte aligned. */
TARGET static void draw(const Plane *planes, double share, const Colours *colours, const View *view, int edge,
                        uint8_t *room) {
    /* Up to a zoom of 4 the taps suffice; far places would overflow. Neither is ever asked for. */
    if (!(fabs(view->x) < 1e6 && fabs(view->y) < 1e6 && view->zoom_x > 0 && view->zoom_x <= TAPS - 1 &&
          view->zoom_y > 0 && view->zoom_y <= TAPS - 1)) {
        for (int row = 0; row < view->height; row++)
            memset(view->to + (size_t)row * view->stride, 0, (size_t)view->width * 4);
        return;
    }
    const int lanes = lanes_for(view->zoom_x);
    Plan plans[2]; /* luma, chroma */
    for (int i = 0; i < 2; i++) {
        const double size = i ? share : 1.0;
        plans[i] = (Plan){.top = size * view->y, .zoom = size * view->zoom_y, .groups = (Group *)room};
        plans[i].edge = edge ? planes[i].height : 0;
        room += ((size_t)view->width / lanes + 1) * sizeof(Group);
        plan_columns(plans + i, size * view->x, size * view->zoom_x, lanes, view->width, edge ? planes[i].width : 0);
    }
    uint16_t *mixtures[3];
    for (int i = 0; i < 3; i++) {
        mixtures[i] = (uint16_t *)room;
        room += ((size_t)plans[i > 0].count + 2 * SPAN) * sizeof(uint16_t);
    }
    for (int row = 0; row < view->height; row++) {
        for (int i = 0; i < 2; i++) {
            const Plan *plan = plans + i;
            const Taps taps = taps_at(plan->top + row * plan->zoom, plan->zoom, plan->edge);
            mix(plan, planes + i, &taps, mixtures[i]);
            if (i)
                mix(plan, planes + 2, &taps, mixtures[2]);
        }
        uint8_t *to = view->to + (size_t)row * view->stride;
        for (int left = 0, number = 0; left < view->width; left += lanes, number++) {
            const Group *luma = plans[0].groups + number, *chroma = plans[1].groups + number;
            const int now = view->width - left < lanes ? view->width - left : lanes;
            store_rgbx(to + (size_t)left * 4, now, results(luma, mixtures[0]), results(chroma, mixtures[1]),
                       results(chroma, mixtures[2]), colours);
        }
    }
}

/* The whole of the planes as a width x height picture, at most four times smaller. Returns -1 without memory. */
EXPORT TARGET int faceanond_level(const Plane *planes, double share, const Colours *colours, uint8_t *to,
                                  size_t stride, int width, int height) {
    const View view = {0.0, 0.0, (double)planes->width / width, (double)planes->height / height,
                       to,  stride, width, height};
    uint8_t *room = aligned_alloc(64, (room_for(width) + 63) / 64 * 64);
    if (room == NULL)
        return -1;
    draw(planes, share, colours, &view, 1, room);
    free(room);
    return 0;
}

/* count squares, each left, top and length in pixels of the luma, as pictures of side x side, side at most 48. */
EXPORT TARGET void faceanond_crops(const Plane *planes, double share, const Colours *colours, const double *squares,
                                   int count, uint8_t *to, int side) {
    uint8_t room[3 * ((48 + LANES) * sizeof(Group) + (48 * TAPS + 3 * SPAN) * sizeof(uint16_t)) + 64]
        __attribute__((aligned(64)));
    for (int i = 0; i < count; i++, squares += 3) {
        const double zoom = squares[2] / side;
        const View view = {squares[0], squares[1], zoom, zoom, to + (size_t)i * side * side * 4, (size_t)side * 4,
                           side, side};
        draw(planes, share, colours, &view, 0, room);
    }
}

/* ---- Non-maximum suppression */

/* `boxes` are four rows of count numbers: x1, y1, x2, y2, the best box first. Clears `kept` for every box whose overlap
 * with a better one that stays, of the same group, exceeds the limit. The overlap is the intersection's share of the
 * union, or, with `smaller`, of the smaller box. */
EXPORT TARGET void faceanond_suppress(const double *boxes, const int32_t *groups, int count, double limit, int smaller,
                                      uint8_t *kept) {
    const double *x1 = boxes, *y1 = x1 + count, *x2 = y1 + count, *y2 = x2 + count;
    const __m512d zero = _mm512_setzero_pd(), most = _mm512_set1_pd(limit);
    memset(kept, 1, (size_t)count);
    for (int i = 0; i < count; i++) {
        if (!kept[i])
            continue;
        const __m512d left = _mm512_set1_pd(x1[i]), top = _mm512_set1_pd(y1[i]);
        const __m512d right = _mm512_set1_pd(x2[i]), bottom = _mm512_set1_pd(y2[i]);
        const __m512d area = _mm512_mul_pd(_mm512_sub_pd(right, left), _mm512_sub_pd(bottom, top));
        for (int j = i + 1; j < count; j += 8) {
            const __mmask8 valid = count - j >= 8 ? 0xff : (__mmask8)((1 << (count - j)) - 1);
            const __m512d a = _mm512_maskz_loadu_pd(valid, x1 + j), b = _mm512_maskz_loadu_pd(valid, y1 + j);
            const __m512d c = _mm512_maskz_loadu_pd(valid, x2 + j), d = _mm512_maskz_loadu_pd(valid, y2 + j);
            const __m512d width = _mm512_sub_pd(_mm512_min_pd(right, c), _mm512_max_pd(left, a));
            const __m512d height = _mm512_sub_pd(_mm512_min_pd(bottom, d), _mm512_max_pd(top, b));
            const __m512d shared = _mm512_mul_pd(_mm512_max_pd(width, zero), _mm512_max_pd(height, zero));
            const __m512d other = _mm512_mul_pd(_mm512_sub_pd(c, a), _mm512_sub_pd(d, b));
            const __m512d whole =
                smaller ? _mm512_min_pd(area, other) : _mm512_sub_pd(_mm512_add_pd(area, other), shared);
            const __m256i group = _mm256_maskz_loadu_epi32(valid, groups + j);
            const __mmask8 goes = _mm512_mask_cmp_pd_mask(valid, shared, _mm512_mul_pd(most, whole), _CMP_GT_OQ) &
                                  _mm256_cmpeq_epi32_mask(group, _mm256_set1_epi32(groups[i]));
            _mm_mask_storeu_epi8(kept + j, goes, _mm_setzero_si128());
        }
    }
}

#ifndef SOURCE_HASH
#define SOURCE_HASH "unknown"
#endif

/* What this library was built from: see build.py. */
EXPORT const char *faceanond_source(void) { return SOURCE_HASH; }

/* Whether this CPU and its operating system run the functions above. */
EXPORT int faceanond_supported(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
