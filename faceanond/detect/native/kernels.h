/* What all the kernels share: for CPUs with AVX-512 VNNI. Each function asks for the instructions by itself, so that the
 * library can be loaded anywhere; faceanond_supported says whether anything but it and faceanond_source may be called. */
#pragma once
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define INLINE TARGET static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))
