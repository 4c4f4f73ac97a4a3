"""One look at a camera, for people: `faceanond check --probe`."""

from __future__ import annotations

import threading

from faceanond.capture.factory import make_source
from faceanond.capture.source import Source, StreamInfo
from faceanond.capture.thread import GRACE, abandon
from faceanond.clock import SystemClock
from faceanond.config.model import Camera
from faceanond.errors import FaceanondError, SourceError, SourceFault


def probe(name: str, camera: Camera, timeout: float | None = None) -> StreamInfo:
    """Opens the camera, takes its first picture and closes it; blocks for at most `timeout` seconds and a grace.

    `timeout` defaults to the camera's own. Raises SourceError.
    """
    limit = camera.timeout if timeout is None else timeout
    source = make_source(name, camera.model_copy(update={"timeout": limit}), generation=0, clock=SystemClock())
    outcome: list[StreamInfo | FaceanondError] = []
    thread = threading.Thread(target=_look, args=(source, outcome), name=f"probe:{name}", daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        source.interrupt()
        thread.join(GRACE)
    if thread.is_alive():
        abandon(thread, name)
    if not outcome:
        raise SourceError(SourceFault.UNREACHABLE, f"{source!r}: it could not be opened within {limit:g} s")
    if isinstance(outcome[0], FaceanondError):
        raise outcome[0]
    return outcome[0]


def _look(source: Source, outcome: list[StreamInfo | FaceanondError]) -> None:
    try:
        info = source.open()
        source.read()
    except FaceanondError as error:
        outcome.append(error)
    else:
        outcome.append(info)
    finally:
        source.close()
