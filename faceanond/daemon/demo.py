"""The fleet of `faceanond demo`: moving test cameras that need nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence

from faceanond.config.load import parse
from faceanond.config.model import Config

_CAMERAS = (("1280x720", 25), ("640x480", 15), ("960x540", 30), ("854x480", 20))
"""Sizes and frame rates, in turn: a fleet is never of one kind."""


def demo_config(cameras: int, port: int, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a demo with so many cameras. Raises ConfigError for bad overrides."""
    lines = ["[http]", f'listen = "127.0.0.1:{port}"']
    for number in range(cameras):
        size, fps = _CAMERAS[number % len(_CAMERAS)]
        lines += [f"[cameras.demo-{number + 1}]", f'source = "demo:?size={size}&fps={fps}&seed={number}"']
        lines += [f"[cameras.demo-{number + 1}.anonymise]", 'legend = ["name", "fps"]']
    return parse("\n".join(lines) + "\n", "demo", overrides)
