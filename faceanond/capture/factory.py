"""Which class serves which scheme: the one place that knows them all."""

from __future__ import annotations

from faceanond.capture.demo import DemoSource
from faceanond.capture.options import target
from faceanond.capture.pyav_source import PyAvSource
from faceanond.capture.source import Source
from faceanond.clock import Clock
from faceanond.config.model import Camera


def make_source(name: str, camera: Camera, *, generation: int, clock: Clock, live: bool = True) -> Source:
    """The source of this camera; it is not opened yet. Raises SourceError for options that cannot be.

    `live=False` is for files that must lose nothing: once through, as fast as they are read, every picture. A live
    file loops at its own speed.
    """
    if camera.source.scheme == "demo":
        return DemoSource(name, camera.source.options, generation=generation, clock=clock, live=live)
    return PyAvSource(name, target(camera), generation=generation, clock=clock, timeout=camera.timeout, live=live)
