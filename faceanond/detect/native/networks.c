/* MTCNN's three networks in 8-bit integers, each fused from pixels to answers.
 *
 * Pictures are rows of RGBX, one byte each. Between layers a value is kept as an unsigned byte of its own scale per
 * channel (quantise.py makes the numbers); a layer sums bytes times signed bytes exactly in 32 bits, then works in
 * floating point: gain and shift give the real value in steps of the output, PReLU is applied as it is, and the offset
 * and a saturating rounding make the next byte. The last layers stay in floating point.
 *
 * Weights lie in the order in which they are used: block of 16 outputs, row, column, four inputs; 64 bytes a step.
 * Every loop has a fixed shape, so that the sums stay in registers: PX pixels by OB blocks of 16 outputs.
 * Some blocks compute a few pixels more than there are; buffers have SPARE pixels of room for them.
 * All of it is for AVX-512 VNNI; other CPUs run the float networks, and other machines have nothing of this file.
 */
#include "kernels.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define VECTOR TARGET INLINE
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

VECTOR __m512i four_bytes(const uint8_t *from) {
    int32_t value;
    memcpy(&value, from, sizeof value);
    return _mm512_set1_epi32(value);
}

VECTOR __m512 activated(__m512i sum, const Layer *layer, int channel) {
    __m512 z = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(layer->gain + channel),
                               _mm512_loadu_ps(layer->shift + channel));
    __mmask16 below = _mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_mask_mul_ps(z, below, z, _mm512_loadu_ps(layer->slope + channel));
}

VECTOR void store_bytes(uint8_t *to, __m512 value, const Layer *layer, int channel) {
    __m512i steps = _mm512_cvtps_epi32(_mm512_add_ps(value, _mm512_loadu_ps(layer->offset + channel)));
    steps = _mm512_max_epi32(steps, _mm512_setzero_si512());
    _mm_storeu_si128((__m128i *)to, _mm512_cvtusepi32_epi8(steps));
}

/* Sums of PX neighbouring pixels by OB blocks. A step in x is `pixel` bytes; each pixel gives `quads` groups of four. */
VECTOR void sums(const uint8_t *const *rows, size_t at, size_t pixel, int size, int quads, const Layer *layer, int block,
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
VECTOR void row_of(const uint8_t *const *rows, size_t pixel, int count, int size, int quads, int blocks,
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

VECTOR float dot(const float *a, const float *b, int count) {
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
VECTOR void layer_of(const uint8_t *in, int side, int channels, int quads, int size, int blocks, const Layer *layer,
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
VECTOR void maxima(const uint8_t *in, int side, int channels, int size, int count, uint8_t *to) {
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
VECTOR void answer_of(const uint8_t *in, int quads, int outputs, const Layer *layer, const Head *head, float *answer) {
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
#endif
