/* Pictures from the planes of a frame: area averages, black beyond the edge, then RGBX.
 *
 * Short loops over a row, of which compilers make vectors: products of 16 bits, each cut to 16 bits before they are
 * summed up. Every processor draws the same bytes. */
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

enum { TAPS = 5, QUAD = 4, SLACK = 8 };
/* Source pixels along a side that a result may be made of; those that are read at once; room behind a mixture. */

/* The neighbouring source pixels that one result is made of, and their shares, which sum up to 65535. */
typedef struct {
    int first, count;
    uint16_t share[TAPS];
} Taps;

/* Without a call of the library, which only newer processors have an instruction for. */
INLINE int whole_below(double value) {
    const int whole = (int)value;
    return whole - (whole > value);
}

/* What lies from `begin` over a length of `zoom`, up to four source pixels: their mean, as if each source pixel were a
 * square of one colour. In a whole picture, whose length is `edge` (else 0), results that are smaller than a source
 * pixel are interpolated between two, and what would lie beyond its edge looks like the edge. */
INLINE Taps taps_at(double begin, double zoom, int edge) {
    double weight[TAPS] = {0.0}, total = 1.0;
    Taps taps = {0};
    if (zoom > 1.0 || !edge) {
        taps.first = whole_below(begin);
        taps.count = 1 - whole_below(-zoom);
        total = 0.0;
        for (int k = 0; k < taps.count; k++) {
            const double left = (double)taps.first + k;
            weight[k] = most(0.0, least(left + 1.0, begin + zoom) - most(left, begin));
            total += weight[k];
        }
    } else {
        const double at = least(most(begin + 0.5 * zoom - 0.5, 0.0), edge - 1.0);
        taps.first = whole_below(at);
        taps.count = 2;
        weight[1] = at - taps.first;
    }
    int rest = 65535;
    for (int k = taps.count - 1; k > 0; k--) {
        const int share = (int)(weight[k] * (65535.0 / total) + 0.5);
        taps.share[k] = (uint16_t)(share < rest ? share : rest);
        rest -= taps.share[k];
    }
    taps.share[0] = (uint16_t)rest;
    return taps;
}

/* How planes of one size go into a picture: the `count` source columns from `first` on that take part are mixed row by
 * row (256 times the values), and each result is read from the mixture, from its place on. */
typedef struct {
    double top, zoom;
    int first, count, edge, taps;
    int32_t *place;
    uint16_t *share; /* QUAD of each result */
    uint16_t *fifth; /* share of each result */
} Plan;

INLINE void plan_columns(Plan *plan, double begin, double zoom, int width, int edge) {
    plan->first = taps_at(begin, zoom, edge).first;
    for (int i = 0; i < width; i++) {
        const Taps taps = taps_at(begin + i * zoom, zoom, edge);
        plan->place[i] = taps.first - plan->first;
        plan->taps = taps.count;
        plan->count = plan->place[i] + taps.count;
        memcpy(plan->share + QUAD * i, taps.share, QUAD * sizeof(uint16_t));
        plan->fifth[i] = taps.share[QUAD];
    }
}

INLINE uint16_t part(uint16_t value, uint16_t share) { return (uint16_t)(((uint32_t)value * share) >> 16); }

/* `count` columns of the mixture of `number` rows, over what is the same everywhere. */
INLINE void mix_rows(const uint8_t *const *rows, const uint16_t *share, int number, uint16_t same, int count,
                     uint16_t *restrict mixture) {
    for (int i = 0; i < count; i++) {
        uint16_t sum = same;
        for (int k = 0; k < number; k++)
            sum = (uint16_t)(sum + part((uint16_t)(rows[k][i] << 8), share[k]));
        mixture[i] = sum;
    }
}

/* Mixes the source rows that one row of results is made of. */
INLINE void mix(const Plan *plan, const Plane *plane, const Taps *taps, uint16_t *mixture) {
    const uint8_t *rows[TAPS];
    uint16_t share[TAPS], same = 0, black = 0;
    int number = 0;
    /* Columns of the mixture that lie in the plane: before and behind them all is black. */
    int begin = plan->first < 0 ? -plan->first : 0, end = plane->width - plan->first;
    begin = begin < plan->count ? begin : plan->count;
    end = end < begin ? begin : end < plan->count ? end : plan->count;
    for (int k = 0; k < taps->count; k++) {
        const int at = taps->first + k;
        const uint16_t dark = part((uint16_t)(plane->black << 8), taps->share[k]);
        black = (uint16_t)(black + dark);
        if (at < 0 || at >= plane->height || begin == end) {
            same = (uint16_t)(same + dark);
        } else {
            rows[number] = plane->pixels + (size_t)at * plane->stride + (plan->first + begin);
            share[number++] = taps->share[k];
        }
    }
    for (int i = 0; i < begin; i++)
        mixture[i] = black;
    switch (number) {
    case 1: mix_rows(rows, share, 1, same, end - begin, mixture + begin); break;
    case 2: mix_rows(rows, share, 2, same, end - begin, mixture + begin); break;
    case 3: mix_rows(rows, share, 3, same, end - begin, mixture + begin); break;
    case 4: mix_rows(rows, share, 4, same, end - begin, mixture + begin); break;
    case 5: mix_rows(rows, share, 5, same, end - begin, mixture + begin); break;
    default: mix_rows(rows, share, 0, same, end - begin, mixture + begin);
    }
    for (int i = end; i < plan->count; i++)
        mixture[i] = black;
}

/* A row of results, 256 times their value. `quads` is room for QUAD numbers of each: so many neighbours are fetched as
 * one word, since few CPUs have an instruction that fetches from many places. Shares of 0 take no part. */
INLINE void results(const Plan *plan, const uint16_t *restrict mixture, int width, uint16_t *restrict quads,
                    uint16_t *restrict value) {
    for (int i = 0; i < width; i++)
        memcpy(quads + QUAD * i, mixture + plan->place[i], QUAD * sizeof(uint16_t));
    for (int i = 0; i < QUAD * width; i++)
        quads[i] = part(quads[i], plan->share[i]);
    for (int i = 0; i < width; i++) {
        const uint16_t *four = quads + QUAD * i;
        value[i] = (uint16_t)(four[0] + four[1] + four[2] + four[3]);
    }
    if (plan->taps > QUAD)
        for (int i = 0; i < width; i++)
            value[i] = (uint16_t)(value[i] + part(mixture[plan->place[i] + QUAD], plan->fifth[i]));
}

/* A product in 1/32768, rounded. */
INLINE int16_t scaled(int16_t value, int16_t by) { return (int16_t)((((int32_t)value * by >> 14) + 1) >> 1); }

INLINE uint8_t rounded(int16_t value) {
    const int16_t whole = (int16_t)((int16_t)(value + 16) >> 5);
    return (uint8_t)(whole < 0 ? 0 : whole > 255 ? 255 : whole);
}

/* y, u and v are 256 times their value. */
INLINE void store_rgbx(uint8_t *restrict to, int width, const uint16_t *restrict y, const uint16_t *restrict u,
                       const uint16_t *restrict v, const Colours *by) {
    const Colours colours = *by;
    for (int i = 0; i < width; i++) {
        const int16_t luma = (int16_t)((y[i] >> 1) - 128 * colours.black);
        const int16_t blueness = (int16_t)((u[i] >> 1) - 128 * 128), redness = (int16_t)((v[i] >> 1) - 128 * 128);
        const uint32_t red = rounded((int16_t)(scaled(luma, colours.red_y) + scaled(redness, colours.red_v)));
        const uint32_t green = rounded((int16_t)(scaled(luma, colours.green_y) + scaled(blueness, colours.green_u) +
                                                 scaled(redness, colours.green_v)));
        const uint32_t blue = rounded((int16_t)(scaled(luma, colours.blue_y) + scaled(blueness, colours.blue_u)));
        const uint32_t pixel = red | green << 8 | blue << 16;
        memcpy(to + 4 * i, &pixel, sizeof pixel);
    }
}

/* Where to draw: RGBX, (0, 0) of it at (x, y) of the luma, each pixel zoom_x by zoom_y of the luma large. */
typedef struct {
    double x, y, zoom_x, zoom_y;
    uint8_t *to;
    size_t stride;
    int width, height;
} View;

/* Bytes of working memory for a picture of `width` columns: two plans, quads, three rows of results, three mixtures; 13
 * parts in all, each rounded up. */
#define ROOM(width)                                                                                                    \
    ((size_t)(width) * (2 * (sizeof(int32_t) + (QUAD + 1) * sizeof(uint16_t)) + (QUAD + 3) * sizeof(uint16_t)) +       \
     3 * ((size_t)(width) * TAPS + SLACK) * sizeof(uint16_t) + 13 * 64)

INLINE void *taken(uint8_t **room, size_t bytes) {
    void *from = *room;
    *room += (bytes + 63) / 64 * 64;
    return from;
}

/* `share` is the chroma planes' size as a share of the luma's. With `edge` what lies beyond the planes looks like their
 * edge, else it is black. `room` is 64-byte aligned. */
INLINE void draw(const Plane *planes, double share, const Colours *colours, const View *view, int edge, uint8_t *room) {
    /* Up to a zoom of 4 the taps suffice; far places would overflow. Callers refuse both. */
    if (!(fabs(view->x) < 1e6 && fabs(view->y) < 1e6 && view->zoom_x > 0 && view->zoom_x <= TAPS - 1 &&
          view->zoom_y > 0 && view->zoom_y <= TAPS - 1)) {
        for (int row = 0; row < view->height; row++)
            memset(view->to + (size_t)row * view->stride, 0, (size_t)view->width * 4);
        return;
    }
    const size_t width = (size_t)view->width;
    const int alike = share == 1.0 && planes[0].width == planes[1].width && planes[0].height == planes[1].height;
    Plan plans[2]; /* luma, chroma */
    for (int i = 0; i < 2; i++) {
        Plan *plan = plans + i;
        if (i && alike) {
            *plan = plans[0];
            break;
        }
        const double size = i ? share : 1.0;
        *plan = (Plan){.top = size * view->y, .zoom = size * view->zoom_y, .edge = edge ? planes[i].height : 0};
        plan->place = taken(&room, width * sizeof(int32_t));
        plan->share = taken(&room, QUAD * width * sizeof(uint16_t));
        plan->fifth = taken(&room, width * sizeof(uint16_t));
        plan_columns(plan, size * view->x, size * view->zoom_x, view->width, edge ? planes[i].width : 0);
    }
    uint16_t *quads = taken(&room, QUAD * width * sizeof(uint16_t)), *mixtures[3], *values[3];
    for (int i = 0; i < 3; i++) {
        const size_t count = (size_t)plans[i > 0].count;
        mixtures[i] = taken(&room, (count + SLACK) * sizeof(uint16_t));
        memset(mixtures[i] + count, 0, SLACK * sizeof(uint16_t));
        values[i] = taken(&room, width * sizeof(uint16_t));
    }
    for (int row = 0; row < view->height; row++) {
        Taps taps = {0};
        for (int i = 0; i < 3; i++) {
            const Plan *plan = plans + (i > 0);
            if (i == 0 || (i == 1 && !alike))
                taps = taps_at(plan->top + row * plan->zoom, plan->zoom, plan->edge);
            mix(plan, planes + i, &taps, mixtures[i]);
            results(plan, mixtures[i], view->width, quads, values[i]);
        }
        store_rgbx(view->to + (size_t)row * view->stride, view->width, values[0], values[1], values[2], colours);
    }
}

/* The whole of the planes as a width x height picture, at most four times smaller. Returns -1 without memory. */
INLINE int level(const Plane *planes, double share, const Colours *colours, uint8_t *to, size_t stride, int width,
                 int height) {
    const View view = {0.0, 0.0, (double)planes->width / width, (double)planes->height / height,
                       to,  stride, width, height};
    uint8_t *room = aligned_alloc(64, (ROOM(width) + 63) / 64 * 64);
    if (room == NULL)
        return -1;
    draw(planes, share, colours, &view, 1, room);
    free(room);
    return 0;
}

/* count squares, each left, top and length in pixels of the luma, as pictures of side x side, side at most 48. */
INLINE void crops(const Plane *planes, double share, const Colours *colours, const double *squares, int count,
                  uint8_t *to, int side) {
    uint8_t room[ROOM(48)] __attribute__((aligned(64)));
    for (int i = 0; i < count; i++, squares += 3) {
        const double zoom = squares[2] / side;
        const View view = {squares[0], squares[1], zoom, zoom, to + (size_t)i * side * side * 4, (size_t)side * 4,
                           side, side};
        draw(planes, share, colours, &view, 0, room);
    }
}

#define PICTURES(name, target)                                                                                         \
    EXPORT target int faceanond_level_##name(const Plane *planes, double share, const Colours *colours, uint8_t *to,   \
                                             size_t stride, int width, int height) {                                   \
        return level(planes, share, colours, to, stride, width, height);                                               \
    }                                                                                                                  \
    EXPORT target void faceanond_crops_##name(const Plane *planes, double share, const Colours *colours,               \
                                              const double *squares, int count, uint8_t *to, int side) {               \
        crops(planes, share, colours, squares, count, to, side);                                                       \
    }
VARIANTS(PICTURES)
