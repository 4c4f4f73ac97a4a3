"""The log: one JSON object a line for machines, coloured text for a person at a terminal, credentials in neither.

structlog's and the standard library's loggers (aiohttp, aiortc, aioice, asyncio, warnings) meet in one handler, so one
redaction covers both. FFmpeg's own log never comes here: capture/ keeps PyAV's callback off, because it deadlocks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from faceanond.config.model import Log
from faceanond.observe.secrets import Redactor
from faceanond.observe.writer import LineWriter

CHATTY = ("aiohttp.access", "aioice", "aiortc")
"""Libraries that tell each request or connectivity check at info: only their warnings, unless debugging."""
PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""syslog(3) priorities, which journald reads from a "<3>" in front of a line."""


class Logs:
    """The logging that was set up. `redactor` can be taught more secrets, for instance after a reload.

    `close` writes what waits and puts everything back as it was. Without it, the interpreter's end writes what waits.
    """

    def __init__(self, redactor: Redactor, undo: ExitStack) -> None:
        self.redactor = redactor
        self._undo = undo

    def close(self) -> None:
        self._undo.close()

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def set_up_logging(settings: Log, secrets: Iterable[str] = (), *, stream: TextIO | None = None) -> Logs:
    """Sends every log line to `stream` (standard error). Call it, and `close`, outside the event loop.

    Uncaught exceptions of the process, of threads and of destructors become log lines too; `log_loop_errors` does the
    same for an event loop.
    """
    stream = stream or sys.stderr
    redactor = Redactor(secrets)
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # A plain traceback as text: prettier ones print local variables, and those hold passwords.
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=common,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            redactor,
            *_renderers(settings.format, stream),
        ],
    )
    handler = LineHandler(stream, formatter, journal=_is_journal(stream, os.environ))
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    undo = ExitStack()
    undo.callback(handler.close)
    undo.callback(structlog.reset_defaults)
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        # A cached logger would not notice a second set-up, nor structlog's test helpers.
        cache_logger_on_first_use=False,
    )
    _route_standard_library(undo, handler, level)
    _install_hooks(undo)
    return Logs(redactor, undo)


def log_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Exceptions that no task awaited become log lines."""
    loop.set_exception_handler(_loop_error)


class LineHandler(logging.Handler):
    """Renders in the caller's thread, writes in the writer's. A record that cannot be rendered is told, not printed:
    the standard library would print its arguments."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter, *, journal: bool) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._journal = journal
        self._writer = LineWriter(stream, lost=self._lost)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception as error:  # noqa: BLE001 - whatever a record's arguments raise must not reach who logged it
            line = self._line(
                _record(
                    logging.ERROR,
                    f"a log record could not be rendered: {record.name} at {record.pathname}:{record.lineno}, "
                    f"{type(error).__name__}",
                )
            )
        self._writer.write(line)
        if record.levelno >= logging.CRITICAL and asyncio._get_running_loop() is None:
            # The process is about to end, perhaps by os._exit, which waits for no thread.
            self._writer.flush()

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
        super().close()

    def _line(self, record: logging.LogRecord) -> str:
        text = self.format(record)
        if not self._journal:
            return text
        prefix = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return prefix + text.replace("\n", "\n" + prefix)

    def _lost(self, count: int) -> str:
        return self._line(_record(logging.WARNING, f"{count} log lines were lost: nobody read them in time"))


def _record(level: int, message: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, level, __file__, 0, message, None, None)


def _renderers(form: str, stream: TextIO) -> list[Processor]:
    terminal = stream.isatty()
    if form == "console" or (form == "auto" and terminal):
        colours = terminal and not os.environ.get("NO_COLOR")
        return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]
    return [_in_order, structlog.processors.JSONRenderer()]


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """What a person looks for first comes first."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "logger", "event") if key in event}
    return first | dict(event)


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the stream goes to journald, which says so in JOURNAL_STREAM as DEVICE:INODE."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"


def _route_standard_library(undo: ExitStack, handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    undo.callback(root.setLevel, root.level)
    undo.callback(setattr, root, "handlers", root.handlers)
    root.handlers = [handler]
    root.setLevel(level)
    for name in CHATTY:
        logger = logging.getLogger(name)
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    logging.captureWarnings(True)
    undo.callback(logging.captureWarnings, False)


def _install_hooks(undo: ExitStack) -> None:
    for module, name, hook in (
        (sys, "excepthook", _uncaught),
        (sys, "unraisablehook", _unraisable),
        (threading, "excepthook", _thread_died),
    ):
        undo.callback(setattr, module, name, getattr(module, name))
        setattr(module, name, hook)


log = structlog.get_logger(__name__)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("process crashed", exc_info=(kind, error, trace))


def _unraisable(unraisable: Any) -> None:
    log.error(
        "exception ignored",
        detail=unraisable.err_msg,
        object=unraisable.object,
        exc_info=(unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback),
    )


def _thread_died(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread else None
    log.error("thread died", thread=name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def _loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    task = context.get("task") or context.get("future")
    log.error(
        "event loop met an error",
        detail=context.get("message"),
        task=task.get_name() if isinstance(task, asyncio.Task) else None,
        exc_info=context.get("exception"),
    )
