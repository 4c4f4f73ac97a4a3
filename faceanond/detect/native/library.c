/* What the library is, and where it runs. */
#include "kernels.h"

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
