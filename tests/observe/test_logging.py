"""What reaches the log, in which form, and that no credential is in it by whichever way it came."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from faceanond.config.model import Log
from faceanond.observe.logging import log_loop_errors, set_up_logging

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]
SECRET = "hunter2-and-more"
log = structlog.get_logger("faceanond.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def logged(
    *, level: Level = "info", form: Format = "json", stream: io.StringIO | None = None
) -> Iterator[list[dict[str, Any]]]:
    """The lines that the block logs, readable after it."""
    stream = stream or io.StringIO()
    lines: list[dict[str, Any]] = []
    with set_up_logging(Log(level=level, format=form), [SECRET], stream=stream):
        yield lines
    lines.extend(json.loads(line) for line in stream.getvalue().splitlines())


def text_of(act: Callable[[], object], *, form: Format = "json", stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    with set_up_logging(Log(format=form), [SECRET], stream=stream):
        act()
    return stream.getvalue()


def test_a_line_is_one_json_object_with_time_level_logger_and_event_first() -> None:
    with logged() as lines:
        log.warning("camera lost", camera="yard", retry_in=1.5)
    (line,) = lines
    assert list(line) == ["timestamp", "level", "logger", "event", "camera", "retry_in"]
    assert (line["level"], line["logger"], line["event"]) == ("warning", "faceanond.test", "camera lost")
    moment = datetime.fromisoformat(line["timestamp"])
    assert moment.utcoffset() == timedelta(0)


def test_the_standard_librarys_loggers_take_the_same_way() -> None:
    with logged() as lines:
        logging.getLogger("aiohttp.server").error("Error handling request from %s", "10.0.0.1")
    assert lines[0]["event"] == "Error handling request from 10.0.0.1"
    assert (lines[0]["level"], lines[0]["logger"]) == ("error", "aiohttp.server")


def test_what_lies_below_the_level_is_not_logged() -> None:
    with logged(level="warning") as lines:
        log.info("quiet")
        logging.getLogger("asyncio").info("quiet")
        log.warning("loud")
    assert [line["event"] for line in lines] == ["loud"]


@pytest.mark.parametrize(("level", "expected"), [("info", []), ("debug", ["check"])])
def test_the_ice_librarys_chatter_is_for_debugging(level: Level, expected: list[str]) -> None:
    with logged(level=level) as lines:
        logging.getLogger("aioice.ice").info("check")
    assert [line["event"] for line in lines] == expected


def fail() -> None:
    raise ValueError(f"rtsp://viewer:{SECRET}@10.0.0.1/ answered 401 to {SECRET}")


def log_exception() -> None:
    password = SECRET  # a local that a pretty traceback would print
    try:
        fail()
    except ValueError:
        log.exception("camera failed", detail=password)


def log_foreign_exception() -> None:
    try:
        fail()
    except ValueError:
        logging.getLogger("aiortc").exception("failed with %r", {"password": SECRET})


def log_chained_exception() -> None:
    try:
        try:
            fail()
        except ValueError as error:
            raise RuntimeError("while opening") from error
    except RuntimeError:
        log.exception("camera failed")


def log_group() -> None:
    log.error("group failed", exc_info=ExceptionGroup(SECRET, [ValueError(SECRET)]))


def log_bound_context() -> None:
    with structlog.contextvars.bound_contextvars(source=f"http://a:{SECRET}@b/"):
        log.bind(secret_thing={"a": [SECRET]}).info(f"event with {SECRET}", **{f"key-{SECRET}": 1})


def log_wrong_arguments() -> None:
    arguments = (SECRET,)  # one too few
    logging.getLogger("asyncio").error("%d frames of %s", *arguments)


def warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # catch_warnings has just put the plain printer back
        warnings.warn(f"deprecated {SECRET}", stacklevel=1)


def crash() -> None:
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)


def let_a_thread_die() -> None:
    thread = threading.Thread(target=fail, name="capture:yard")
    thread.start()
    thread.join()


class Untidy:
    def __del__(self) -> None:
        fail()


def let_a_destructor_fail() -> None:
    untidy = Untidy()
    del untidy
    gc.collect()


WAYS = [
    log_exception,
    log_foreign_exception,
    log_chained_exception,
    log_group,
    log_bound_context,
    log_wrong_arguments,
    warn,
    crash,
    let_a_thread_die,
    let_a_destructor_fail,
]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("way", WAYS)
def test_no_credential_survives_on_any_way_into_the_log(
    way: Callable[[], object], form: Format, capfd: pytest.CaptureFixture[str]
) -> None:
    for stream in (io.StringIO(), Terminal()):
        text = text_of(way, form=form, stream=stream)
        assert text.strip(), "nothing was logged at all"
        assert SECRET not in text
        if form == "json":
            for line in text.splitlines():
                json.loads(line)
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err


def test_a_traceback_shows_where_but_not_what() -> None:
    text = text_of(log_exception)
    assert "ValueError: rtsp://***@10.0.0.1/ answered 401 to ***" in text
    assert "in fail" in text


def test_a_record_with_wrong_arguments_is_told_without_them() -> None:
    text = text_of(log_wrong_arguments)
    assert "a log record could not be rendered: asyncio at" in text


def test_uncaught_exceptions_say_which_thread_died() -> None:
    with logged() as lines:
        let_a_thread_die()
        crash()
    assert [(line["event"], line["level"]) for line in lines] == [
        ("thread died", "error"),
        ("process crashed", "critical"),
    ]
    assert lines[0]["thread"] == "capture:yard"


def test_ctrl_c_is_no_crash() -> None:
    assert text_of(lambda: sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)) == ""


def test_an_exception_that_no_task_awaited_is_logged() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        log_loop_errors(loop)
        loop.call_exception_handler({"message": "callback failed", "exception": ValueError(SECRET)})

    with logged() as lines:
        asyncio.run(main())
    assert (lines[0]["event"], lines[0]["detail"]) == ("event loop met an error", "callback failed")
    assert "ValueError: ***" in lines[0]["exception"]


@pytest.mark.parametrize(
    ("form", "stream", "expected"),
    [
        ("auto", io.StringIO, "{"),
        ("auto", Terminal, "\x1b["),
        ("json", Terminal, "{"),
        ("console", io.StringIO, "2"),
    ],
)
def test_a_terminal_gets_colours_and_anything_else_json(
    form: Format, stream: type[io.StringIO], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert text_of(lambda: log.info("ready"), form=form, stream=stream()).startswith(expected)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in text_of(lambda: log.info("ready"), form="console", stream=Terminal())


def test_journald_is_told_the_priority_of_each_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        stat = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
        with set_up_logging(Log(format="console"), stream=stream):
            log.error("broken")
            log_exception()
            logging.getLogger("aiohttp.server").warning("odd")
        lines = (tmp_path / "journal").read_text().splitlines()
    assert lines[0].startswith("<3>")
    assert all(line.startswith("<3>") for line in lines[:-1]), "a traceback's lines keep their priority"
    assert lines[-1].startswith("<4>")


def test_another_processs_journal_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    with (tmp_path / "file").open("w+") as stream, set_up_logging(Log(), stream=stream):
        log.error("broken")
    assert (tmp_path / "file").read_text().startswith("{")


def test_a_secret_learnt_after_the_start_is_hidden() -> None:
    stream = io.StringIO()
    with set_up_logging(Log(), stream=stream) as logs:
        logs.redactor.learn(["new-secret"])
        log.info("reloaded", source="x new-secret y")
    assert "x *** y" in stream.getvalue()


def test_everything_is_as_before_afterwards() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, sys.unraisablehook, threading.excepthook)
    levels = {name: logging.getLogger(name).level for name in ("aioice", "aiortc", "aiohttp.access")}
    with logged():
        log.info("inside")
    assert (root.handlers, root.level, sys.excepthook, sys.unraisablehook, threading.excepthook) == before
    assert {name: logging.getLogger(name).level for name in levels} == levels
    assert not structlog.is_configured()


def test_lines_that_wait_are_written_at_the_interpreters_end() -> None:
    script = """
import structlog
from faceanond.config.model import Log
from faceanond.observe.logging import set_up_logging
set_up_logging(Log())
for number in range(1000):
    structlog.get_logger("x").info("counted", number=number)
raise RuntimeError("the end")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["number"] for line in lines[:-1]] == list(range(1000))
    assert lines[-1]["event"] == "process crashed"
    assert done.returncode == 1


def test_the_last_words_are_heard_even_when_the_process_ends_without_order() -> None:
    script = """
import os, structlog, threading
from faceanond.config.model import Log
from faceanond.observe.logging import set_up_logging
set_up_logging(Log())
def give_up():
    structlog.get_logger("x").critical("ended without order")
    os._exit(1)
threading.Timer(0, give_up).start()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stderr)["event"] == "ended without order"
