from __future__ import annotations

import pytest

from faceanond.publish.sps import without_fixed_rate


class Bits:
    """Writes a parameter set bit by bit, for cases that libx264 does not make."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, width: int = 1) -> Bits:
        self.text += f"{value:0{width}b}"
        return self

    def golomb(self, *values: int) -> Bits:
        for value in values:
            code = f"{value + 1:b}"
            self.text += "0" * (len(code) - 1) + code
        return self

    def nal(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        payload, zeros, out = int(text, 2).to_bytes(len(text) // 8, "big"), 0, bytearray(b"\x67")
        for byte in payload:
            if zeros == 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes(out)


def parameter_set(*, order: int, cropped: bool, vui: bool, sar: int | None, timing: bool, fixed: int) -> bytes:
    bits = Bits().put(0x42C01F, 24).golomb(0, 0, order)
    if order == 0:
        bits.golomb(2)
    bits.golomb(1).put(0).golomb(39, 22).put(1).put(1).put(int(cropped))
    if cropped:
        bits.golomb(0, 0, 0, 4)
    bits.put(int(vui))
    if vui:
        bits.put(int(sar is not None))
        if sar is not None:
            bits.put(sar, 8)
            if sar == 255:
                bits.put(4, 16).put(3, 16)
        bits.put(1).put(0)  # overscan
        bits.put(1).put(5, 3).put(0).put(1).put(0x010101, 24)  # colours
        bits.put(1).golomb(0, 0)  # chroma location
        bits.put(int(timing))
        if timing:
            bits.put(1, 32).put(50, 32).put(fixed)
        bits.put(0).put(0).put(0).put(0)
    return bits.nal()


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.parametrize("sar", [None, 1, 255])
def test_only_the_flag_changes(order: int, cropped: bool, sar: int | None) -> None:
    def made(fixed: int) -> bytes:
        return parameter_set(order=order, cropped=cropped, vui=True, sar=sar, timing=True, fixed=fixed)

    assert made(1) != made(0)
    assert without_fixed_rate(made(1)) == made(0)
    assert without_fixed_rate(made(0)) == made(0)


@pytest.mark.parametrize(("vui", "timing"), [(False, False), (True, False)])
def test_a_set_that_declares_no_rate_stays_as_it_is(vui: bool, timing: bool) -> None:
    sps = parameter_set(order=2, cropped=False, vui=vui, sar=None, timing=timing, fixed=0)
    assert without_fixed_rate(sps) == sps


def test_a_set_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="type 1"):
        without_fixed_rate(Bits().put(0x42C01F, 24).golomb(0, 0, 1).nal())
