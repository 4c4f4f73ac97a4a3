from __future__ import annotations

import ctypes

import numpy as np
import pytest

from faceanond.detect import pinned
from faceanond.detect.pinned import page_lock


class Driver:
    """The four functions of libcuda.so.1 that are called; `refusing` names the one that fails."""

    def __init__(self, refusing: str = "") -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self._refusing = refusing

    def __getattr__(self, name: str) -> object:
        def call(*arguments: object) -> int:
            self.calls.append((name, arguments))
            return 999 if name == self._refusing else 0

        return call


def use(monkeypatch: pytest.MonkeyPatch, driver: object) -> None:
    monkeypatch.setattr(pinned.ctypes, "CDLL", lambda name: driver)


def test_the_arrays_own_memory_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    use(monkeypatch, driver)
    array = np.zeros((3, 5), np.uint8)
    assert page_lock(array)
    assert [name for name, _ in driver.calls] == [
        "cuInit",
        "cuDevicePrimaryCtxRetain",
        "cuCtxSetCurrent",
        "cuMemHostRegister_v2",
    ]
    address, size, _ = driver.calls[-1][1]
    assert isinstance(address, ctypes.c_void_p)
    assert isinstance(size, ctypes.c_size_t)
    assert (address.value, size.value) == (array.ctypes.data, 15)


@pytest.mark.parametrize("function", ["cuInit", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuMemHostRegister_v2"])
def test_a_driver_that_refuses_leaves_ordinary_memory(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    use(monkeypatch, Driver(function))
    assert not page_lock(np.zeros(10, np.uint8))


def test_without_a_driver_memory_stays_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pinned.ctypes, "CDLL", absent)
    assert not page_lock(np.zeros(10, np.uint8))
