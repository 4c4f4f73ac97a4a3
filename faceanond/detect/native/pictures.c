/* Pictures from the planes of a frame: area averages, black beyond the edge, then RGBX. */
#include "kernels.h"

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
    /* Up to a zoom of 4 the taps suffice; far places would overflow. Callers refuse both. */
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
