"""Tests as on another machine: `pytest --machine plain tests/detect`. Processes that they start run as on this one."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

from faceanond.detect import native

MACHINES = {"avx2": b"avx2 plain", "plain": b"plain", "none": b""}
"""What of the kernels a machine without AVX-512 VNNI runs: those for AVX2, for any CPU of its kind, or none, as where
there was no compiler."""


class _Older:
    """The library as a lesser CPU has it."""

    def __init__(self, library: ctypes.CDLL, variants: bytes) -> None:
        self._library = library
        self._variants = variants

    def __getattr__(self, name: str) -> object:
        return getattr(self._library, name)

    def faceanond_variants(self) -> bytes:
        return self._variants

    def faceanond_runs_networks(self) -> int:
        return 0


def run_as_on(machine: str) -> None:
    """From here on, and for good."""
    library, variants = native._library, MACHINES[machine]

    @functools.cache
    def lesser(path: Path = native.LIBRARY) -> object:
        found = library(path)
        if isinstance(found, str):
            return found
        return _Older(found, variants) if variants else "these tests run as on a machine without a compiler"

    native._library = lesser  # type: ignore[assignment]
