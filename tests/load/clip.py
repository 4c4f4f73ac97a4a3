"""The picture that everything is measured with: 1280x720 at 25 fps, with enough detail to need the whole bit rate."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import need_tool

WIDTH, HEIGHT, FPS = 1280, 720, 25
SECONDS = 8


def make(path: Path) -> Path:
    """Writes the clip, unless it is there: a test card with noise, which no encoder can leave out."""
    if path.exists():
        return path
    picture = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FPS}:duration={SECONDS},noise=alls=10:allf=t"
    encoder = ["-c:v", "libx264", "-preset", "superfast", "-crf", "28", "-pix_fmt", "yuv420p", "-g", str(FPS)]
    subprocess.run(
        [need_tool("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", picture, *encoder, "-an", str(path)],
        check=True,
        timeout=120,
    )
    return path
