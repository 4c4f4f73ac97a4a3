"""From a configuration to an exit code: the process's outermost layer."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
from collections.abc import Sequence

import cv2
import structlog

from faceanond.clock import SystemClock
from faceanond.config.model import Config
from faceanond.config.secrets import secret_values
from faceanond.daemon.app import App
from faceanond.daemon.memory import keep_big_buffers
from faceanond.detect.known import known_faces
from faceanond.errors import ExitCode, FaceanondError
from faceanond.observe.logging import set_up_logging

log = structlog.get_logger(__name__)

DESCRIPTORS = 65_536
"""Open files and sockets to ask for; the system's own limit may be lower."""


def run_daemon(
    config: Config, *, duration: float | None = None, announce: bool = False, warnings: Sequence[str] = ()
) -> int:
    """Runs until a signal, `duration` seconds, or a failure that the whole process must end for.

    `warnings` are what `faceanond check` would say of the configuration; they are logged first.
    """
    prepare_process()
    with set_up_logging(config.log, secret_values(config)):
        for warning in warnings:
            log.warning("configuration", detail=warning)
        code = _run(App(config, clock=SystemClock(), announce=announce), duration)
    leave_hanging_threads(code)
    return code


def prepare_process() -> None:
    """Settings that concern the whole process and must precede its threads."""
    keep_big_buffers()
    # Forty cameras and a hundred viewers need more than the usual 1024 descriptors.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < min(hard, DESCRIPTORS):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, DESCRIPTORS), hard))
    # Read and decoded once, before there is an event loop that this would block.
    known_faces()
    # Each camera already has a thread of its own; OpenCV's pool would only fight over the cores.
    cv2.setNumThreads(1)


def _run(app: App, duration: float | None) -> ExitCode:
    try:
        asyncio.run(app.run(duration=duration))
    except BaseExceptionGroup as group:
        expected, defects = group.split(FaceanondError)
        if defects is not None:
            log.critical("stopped by a defect", exc_info=defects)
        return max((_tell(error) for error in _leaves(expected)), default=ExitCode.FAILED)
    except FaceanondError as error:
        return _tell(error)
    return ExitCode.OK


def _tell(error: FaceanondError) -> ExitCode:
    log.error("stopped by an error", error=str(error))
    return error.exit_code


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to tell of a group: the gravest error that has an exit code, else the group itself (a defect)."""
    expected, defects = group.split(FaceanondError)
    return group if defects is not None else max(_leaves(expected), key=lambda error: error.exit_code)


def _leaves(group: BaseExceptionGroup[FaceanondError] | None) -> list[FaceanondError]:
    """The errors inside nested groups."""
    found: list[FaceanondError] = []
    for error in group.exceptions if group is not None else ():
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def leave_hanging_threads(code: int) -> None:
    """Ends the process here and now when a library still holds a thread: a detector or a camera that hangs.

    The interpreter would wait for such a thread for ever, or, when it is a daemon thread inside C++ code, abort.
    """
    if any(thread is not threading.main_thread() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
