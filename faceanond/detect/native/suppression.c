/* Non-maximum suppression. */
#include "kernels.h"

/* `boxes` are four rows of count numbers: x1, y1, x2, y2, the best box first. Clears `kept` for every box whose overlap
 * with a better one that stays, of the same group, exceeds the limit. The overlap is the intersection's share of the
 * union, or, with `smaller`, of the smaller box. */
INLINE void suppress(const double *restrict boxes, const int32_t *restrict groups, int count, double limit, int smaller,
                     uint8_t *restrict kept) {
    const double *x1 = boxes, *y1 = x1 + count, *x2 = y1 + count, *y2 = x2 + count;
    memset(kept, 1, (size_t)count);
    for (int i = 0; i < count; i++) {
        if (!kept[i])
            continue;
        const double left = x1[i], top = y1[i], right = x2[i], bottom = y2[i], area = (right - left) * (bottom - top);
        const int32_t group = groups[i];
        for (int j = i + 1; j < count; j++) {
            const double width = least(right, x2[j]) - most(left, x1[j]);
            const double height = least(bottom, y2[j]) - most(top, y1[j]);
            const double shared = most(width, 0.0) * most(height, 0.0);
            const double other = (x2[j] - x1[j]) * (y2[j] - y1[j]);
            const double whole = smaller ? least(area, other) : area + other - shared;
            kept[j] &= !((shared > limit * whole) & (groups[j] == group));
        }
    }
}

#define SUPPRESS(name, target)                                                                                         \
    EXPORT target void faceanond_suppress_##name(const double *boxes, const int32_t *groups, int count, double limit,  \
                                                 int smaller, uint8_t *kept) {                                         \
        suppress(boxes, groups, count, limit, smaller, kept);                                                          \
    }
VARIANTS(SUPPRESS)
