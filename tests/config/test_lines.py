from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.config.lines import DEEPEST, Path, dotted, nested_too_deep, parse_key, scan, split
from faceanond.config.syntax import read
from tests.config.toml_writer import RANDOM, Writer, walk


@RANDOM
@given(st.data())
def test_every_key_of_a_random_document_is_found_on_its_line(data: st.DataObject) -> None:
    writer = Writer(data)
    expected = writer.document()
    assert tomllib.loads(writer.text) == expected
    assert read(writer.text).mistakes == ()
    document = scan(writer.text)
    assert walk(expected) <= document.lines.keys()
    assert {path: document.lines[path] for path in writer.lines} == writer.lines
    assert all(statement.closed for statement in document.statements)


@RANDOM
@given(st.text(st.sampled_from("ab=.[]{}\"'#\\\n, 1é\r\t"), max_size=60))
def test_any_text_can_be_scanned_and_statements_cover_all_that_is_no_comment(text: str) -> None:
    document = scan(text)
    end = 0
    for statement in document.statements:
        between = text[end : statement.start]
        assert all(not line.strip() or line.strip().startswith("#") for line in between.split("\n"))
        assert statement.first == text.count("\n", 0, statement.start) + 1
        assert statement.last >= statement.first
        end = statement.end
    assert not text[end:].strip() or text[end:].lstrip().startswith("#")


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\n\nb = 2", ("b",), 3),
        ("[a.b]\nc = 1", ("a", "b", "c"), 2),
        ("[a.b]\nc = 1\n[a]\n", ("a",), 3),
        ("[a]\nb.c.d = 1", ("a", "b", "c"), 2),
        ("['a.b']\n\"c d\" = 1", ("a.b", "c d"), 2),
        ('"\\u0061" = 1', ("a",), 1),
        ("a = [\n 1, # one ]\n 2,\n]", ("a", 1), 3),
        ("a = [[\n[1], [\n2]]]", ("a", 0, 1, 0), 3),
        ("a = {b = [\n{c = 1}]}", ("a", "b", 0, "c"), 2),
        ('a = """\n[b]\nc = 1"""\nd = 1', ("d",), 4),
        ("a = '''\n\\'''\nb = 1", ("b",), 3),
        ('a = """x"""""\nb = 1', ("b",), 2),
        ("[[a]]\nb=1\n[[a]]\nb=2\n[[a.c]]\n[[a.c]]\nd=1", ("a", 1, "c", 1, "d"), 7),
        ("[[a]]\n[a.b]\nc=1", ("a", 0, "b", "c"), 3),
        ("a = [\n 'b = c',\n \"[d]\",\n]\ne = 1", ("e",), 5),
        ('a = [\n"\\"=",\n"b\\\\",\n]\nc = 1', ("c",), 5),
        ("t = 1979-05-27 07:32:00 # [\nb = 1", ("b",), 2),
        ("a = 1\r\nb = 2\r\n", ("b",), 2),
    ],
)
def test_a_key_is_found(text: str, path: Path, line: int) -> None:
    tomllib.loads(text)
    assert scan(text).lines[path] == line


def test_an_unknown_key_has_the_line_of_the_nearest_table_around_it() -> None:
    document = scan("\n[a]\n\nb = [1]")
    assert document.line(("a", "x", "y")) == 2
    assert document.line(("a", "b", 7)) == 4
    assert document.line(("z",)) == 1


@pytest.mark.parametrize(
    "text",
    ["a = [1,\nb = 2", "a = [1,\n[b]\n", "a = [1,\n'b' . c = 2", 'a = """x\nb = 2', "a = '''x", "a = {b = 1\nc = 2"],
)
def test_a_statement_that_never_ends_is_known_as_such(text: str) -> None:
    first = split(text)[0]
    assert not first.closed


def test_an_array_that_is_not_closed_ends_before_the_next_key() -> None:
    document = scan("a = [1,\nb = 2\n[c]\nd = 3")
    assert [statement.path for statement in document.statements] == [("a",), ("b",), ("c",), ("c", "d")]


def test_what_is_nested_beyond_reason_has_the_line_of_what_is_around_it() -> None:
    document = scan("a = " + "[" * 5000 + "]" * 5000 + "\nb = 1")
    assert document.line(("a",) + (0,) * 4000) == 1
    assert document.lines[("b",)] == 2


def test_sixty_levels_are_enough_and_one_more_is_too_many() -> None:
    value: object = 1
    for _ in range(DEEPEST):
        value = [value]
    assert not nested_too_deep(value)
    assert nested_too_deep({"a": value})


def test_the_statement_of_a_line_is_the_one_that_reaches_over_it() -> None:
    document = scan("a = [\n1,\n]\n\nb = 1")
    assert [statement and statement.path for statement in map(document.statement, (1, 2, 3, 4, 5))] == [
        ("a",), ("a",), ("a",), ("a",), ("b",),
    ]  # fmt: skip
    assert scan("").statement(1) is None


def test_definition_is_the_first_of_several() -> None:
    assert scan("[a]\n[b]\n[a]").definition(("a",)) == 1
    assert scan("[a.b]").definition(("a",)) is None


def test_a_dotted_key_is_taken_apart() -> None:
    assert parse_key("a.'b.c' . \"d\"=1") == (("a", "b.c", "d"), 13)
    assert parse_key("= 1") is None
    assert parse_key("a..b") is None
    assert parse_key('"\\q"') is None


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (("cameras", "yard", "zones", 0, 1), "cameras.yard.zones[0][1]"),
        (("cameras", "a b"), 'cameras."a b"'),
        (("a\nb",), '"a\\nb"'),
        (("",), '""'),
        ((), ""),
    ],
)
def test_a_path_is_shown_as_people_write_it(path: Path, shown: str) -> None:
    assert dotted(path) == shown
