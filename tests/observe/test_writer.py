"""A reader that stops reading costs lines, never time."""

from __future__ import annotations

import io
import threading

from faceanond.observe.writer import LineWriter


class Gate(io.StringIO):
    """A stream that takes nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()
        self.entered = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        self.opened.wait(10)
        return super().write(text)


def lost(count: int) -> str:
    return f"lost {count}"


def test_lines_come_out_in_order_and_whole() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream, lost=lost)
    for number in range(100):
        writer.write(str(number))
    writer.close()
    assert stream.getvalue().split() == [str(number) for number in range(100)]


def test_a_stuck_reader_blocks_nobody_and_the_lost_lines_are_told() -> None:
    stream = Gate()
    writer = LineWriter(stream, lost=lost, capacity=3)
    writer.write("first")
    assert stream.entered.wait(10)
    for number in range(10):
        writer.write(str(number))
    stream.opened.set()
    writer.close()
    assert stream.getvalue().splitlines() == ["first", "0", "1", "2", "lost 7"]


def test_a_line_after_the_end_is_written_directly() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream, lost=lost)
    writer.close()
    writer.close()
    writer.write("late")
    assert stream.getvalue() == "late\n"


def test_a_closed_stream_ends_nothing() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream, lost=lost)
    stream.close()
    writer.write("nobody reads this")
    writer.close()
    writer.write("nor this")
    assert stream.closed


def test_closing_does_not_wait_for_ever() -> None:
    stream = Gate()
    writer = LineWriter(stream, lost=lost)
    writer.write("first")
    assert stream.entered.wait(10)
    writer.close(patience=0.0)
    assert stream.getvalue() == ""
    stream.opened.set()


def test_flushing_waits_until_everything_is_written_but_not_for_ever() -> None:
    stream = Gate()
    writer = LineWriter(stream, lost=lost)
    writer.write("first")
    assert not writer.flush(patience=0.01)
    stream.opened.set()
    assert writer.flush()
    assert stream.getvalue() == "first\n"
    writer.close()
    assert writer.flush()
