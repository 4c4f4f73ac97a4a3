"""Page-locked host memory, from which a GPU reads directly instead of through a copy in the driver."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

_DRIVER = "libcuda.so.1"
_PORTABLE = 1
"""CU_MEMHOSTREGISTER_PORTABLE: locked for every context of the process."""


def page_lock(array: NDArray[np.uint8]) -> bool:
    """Locks a contiguous array's memory, for good: meant for buffers that live as long as the process.

    Uses the CUDA driver's API, whose binary interface is stable. False when there is no driver or it refuses, and the
    array is then as usable as before.
    """
    try:
        driver = ctypes.CDLL(_DRIVER)
        context = ctypes.c_void_p()
        return bool(
            driver.cuInit(0) == 0
            # The first device's primary context is the one that ONNX Runtime uses.
            and driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
            and driver.cuCtxSetCurrent(context) == 0
            and driver.cuMemHostRegister_v2(
                ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), _PORTABLE
            )
            == 0
        )
    except (OSError, AttributeError):
        return False
