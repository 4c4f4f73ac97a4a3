"""Memory that shows who reads beyond its end."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from numpy.typing import NDArray

PAGE = mmap.PAGESIZE


class Fenced:
    """Memory that ends where a page begins that nobody may touch: one byte too far, and the process dies."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._maps: list[tuple[mmap.mmap, ctypes.c_void_p]] = []

    def copy(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pages = -(-array.nbytes // PAGE)
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for fence in (start, start + (pages + 1) * PAGE):
            assert self._libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(PAGE), 0) == 0
            self._maps.append((memory, ctypes.c_void_p(fence)))
        offset = (pages + 1) * PAGE - array.nbytes
        copied = np.frombuffer(memory, np.uint8, array.nbytes, offset).reshape(array.shape)
        copied[...] = array
        return copied

    def open(self) -> None:
        for _, fence in self._maps:
            self._libc.mprotect(fence, ctypes.c_size_t(PAGE), mmap.PROT_READ | mmap.PROT_WRITE)
