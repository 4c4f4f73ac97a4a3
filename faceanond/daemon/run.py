"""From a configuration to an exit code: the process's outermost layer."""

from __future__ import annotations

import asyncio

import cv2
import structlog

from faceanond.clock import SystemClock
from faceanond.config.model import Config
from faceanond.config.secrets import secret_values
from faceanond.daemon.app import App
from faceanond.daemon.memory import keep_big_buffers
from faceanond.errors import ExitCode, FaceanondError
from faceanond.observe.logging import set_up_logging

log = structlog.get_logger(__name__)


def run_daemon(config: Config, *, duration: float | None = None, announce: bool = False) -> int:
    """Runs until a signal, `duration` seconds, or a failure that the whole process must end for."""
    prepare_process()
    set_up_logging(config.log, secret_values(config))
    try:
        asyncio.run(App(config, clock=SystemClock()).run(duration=duration, announce=announce))
    except BaseExceptionGroup as group:
        expected, defects = group.split(FaceanondError)
        if defects is not None:
            log.critical("stopped by a defect", exc_info=defects)
        return max((_tell(error) for error in _leaves(expected)), default=ExitCode.FAILED)
    except FaceanondError as error:
        return _tell(error)
    return ExitCode.OK


def prepare_process() -> None:
    """Settings that concern the whole process and must precede its threads."""
    keep_big_buffers()
    # Each camera already has a thread of its own; OpenCV's pool would only fight over the cores.
    cv2.setNumThreads(1)


def _tell(error: FaceanondError) -> ExitCode:
    log.error("stopped by an error", error=str(error))
    return error.exit_code


def _leaves(group: BaseExceptionGroup[FaceanondError] | None) -> list[FaceanondError]:
    """The errors inside nested groups."""
    found: list[FaceanondError] = []
    for error in group.exceptions if group is not None else ():
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
