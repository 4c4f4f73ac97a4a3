/* What the library is, and what of it runs here. */
#include "kernels.h"

#ifndef SOURCE_HASH
#define SOURCE_HASH "unknown"
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pixels are written as little-endian words"
#endif

/* What this library was built from: see build.py. */
EXPORT const char *faceanond_source(void) { return SOURCE_HASH; }

/* Whether this CPU and its operating system run the networks. */
EXPORT int faceanond_runs_networks(void) {
#ifdef __x86_64__
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
#else
    return 0;
#endif
}

/* Which of VARIANTS they run, the best first, with spaces between. */
EXPORT const char *faceanond_variants(void) {
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        return "avx2 plain";
#endif
    return "plain";
}
