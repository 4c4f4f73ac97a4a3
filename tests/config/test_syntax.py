from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.config.lines import dotted
from faceanond.config.syntax import MOST_MISTAKES, read
from tests.config.toml_writer import RANDOM


def told(text: str) -> list[tuple[int, str, str]]:
    return [(mistake.line, dotted(mistake.path), mistake.message) for mistake in read(text).mistakes]


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("a = fast", 1, "a", "text needs quotes"),
        ("\na = 10.0.0.1", 2, "a", "text needs quotes"),
        ("a = info", 1, "a", "text needs quotes"),
        ("a = True", 1, "a", "true or false"),
        ("a = ", 1, "a", 'a value after "="'),
        ("a", 1, "a", '"=" after the key'),
        ("a 1", 1, "a", '"=" after the key'),
        ("= 1", 1, "", "expected a key"),
        ('a = "x\nb = 1', 1, "a", "closing quotation mark before the end of the line"),
        ("a = 'x\nb = 1", 1, "a", "closing quotation mark before the end of the line"),
        ('\na = """x\nb = 1\n', 2, "a", "closing quotation mark"),
        ("a = '''x\n\n", 1, "a", "closing '''"),
        ("a = [1,\n2\nb = 1", 1, "a", "the list that begins here is not closed"),
        ("a = {b = 1\nc = 2", 1, "a", "the table that begins here is not closed"),
        ('a = "\\d"', 1, "a", "backslash"),
        ('a = "\\uzz"', 1, "a", "hexadecimal"),
        ('a = "\\ud800"', 1, "a", "no character"),
        ("a = 2020-02-31", 1, "a", "no such date"),
        ("[a\nb = 1", 1, "", 'expected "]"'),
        ("[[a]\nb = 1", 1, "", 'expected "]]"'),
        ("[a] b", 1, "a", "end of the line"),
        ("a = 1 b = 2", 1, "a", "end of the line"),
        ('a = "\x00"', 1, "a", "control character"),
        ("a = " + "9" * 5000, 1, "a", "too large"),
        ("a = 1\nb = " + "[" * 100 + "]" * 100, 2, "b", "too many lists"),
        ("a = 1\n[" + "b." * 100 + "b]", 2, "b", "too many lists"),
        ("a = 1\nb = " + "[" * 5000 + "]" * 5000, 2, "b", "too many lists"),
    ],
)
def test_a_syntax_error_says_where_it_is_and_what_was_expected(text: str, line: int, key: str, words: str) -> None:
    found = told(text)
    assert found[0][:2] == (line, key)
    assert words in found[0][2]


def test_a_camera_that_is_defined_twice_is_told_with_both_lines() -> None:
    text = "[cameras.lobby]\nsource = 0\n\n[cameras.lobby]\nsource = 1\n"
    assert told(text) == [(4, "cameras.lobby", 'camera "lobby" defined twice: first on line 1, again on line 4')]
    assert read(text).data == {"cameras": {"lobby": {"source": 0}}}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[a]\nb = 1\nb = 2", 3, "key defined twice: first on line 2, again on line 3"),
        ("[a]\n[b]\n[a]", 3, "table [a] defined twice: first on line 1, again on line 3"),
        ("a = {b = 1, b = 2}", 1, "a key is given twice between the braces"),
        ("a = 1\na.b = 2", 2, '"a.b" cannot be added to what is complete already: see line 1'),
        ("a.b = 1\n[a]\n", 2, '"a" cannot be added to what is complete already: see line 1'),
        ("a = []\n[[a]]", 2, "table [a] defined twice: first on line 1, again on line 2"),
    ],
)
def test_what_is_defined_twice_is_told_with_both_lines(text: str, line: int, message: str) -> None:
    assert [(found[0], found[2]) for found in told(text)] == [(line, message)]


def test_reading_goes_on_behind_a_mistake() -> None:
    text = "a = x\nb = 1\n[c\nd = y\n[e]\nf = [1,\ng = 2\n"
    reading = read(text)
    assert [mistake.line for mistake in reading.mistakes] == [1, 3, 4, 6]
    assert reading.data == {"b": 1, "e": {"g": 2}}


def test_what_is_no_toml_at_all_ends_with_a_bounded_number_of_mistakes() -> None:
    assert len(read("<html>\n" * 1000).mistakes) == MOST_MISTAKES


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistakes() -> None:
    reading = read("\ufeffa = 1\r\nb = 2\r\n")
    assert (reading.data, reading.mistakes) == ({"a": 1, "b": 2}, ())
    assert reading.document.lines[("b",)] == 2


def test_messages_do_not_repeat_values() -> None:
    for text in ("password = hunter2", 'password = "hunter2', "password = 'hunter2", 'password = "hunter2" hunter2'):
        assert "hunter2" not in str(told(text))


@RANDOM
@given(st.text(st.sampled_from("ab=.[]{}\"'#\\\n, 1é\r\t\x00"), max_size=60))
def test_any_text_can_be_read_and_is_refused_when_tomllib_refuses_it(text: str) -> None:
    reading = read(text)
    try:
        expected = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError:
        assert reading.mistakes
        assert all(1 <= mistake.line <= text.count("\n") + 1 for mistake in reading.mistakes)
    else:
        assert (reading.data, reading.mistakes) == (expected, ())
