/* What all the kernels share. Pictures and suppression are plain C, compiled for each of VARIANTS; networks.c asks for
 * its instructions by itself. So the library can be loaded anywhere, and library.c says what of it may be called. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))

/* X(name, target): what plain C is compiled for, the best first. The results are the same to the last bit, so no
 * floating point expression may be contracted (build.py). */
#ifdef __x86_64__
#define VARIANTS(X) X(avx2, __attribute__((target("avx2")))) X(plain, )
#else
#define VARIANTS(X) X(plain, )
#endif

INLINE double least(double a, double b) { return a < b ? a : b; }

INLINE double most(double a, double b) { return a > b ? a : b; }
