/* Non-maximum suppression. */
#include "kernels.h"

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
