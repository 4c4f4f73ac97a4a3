"""The detector's life: opened, warmed up and closed in a thread, since a GPU may take minutes for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from faceanond.config.model import Detector as DetectorConfig
from faceanond.detect.factory import open_detector
from faceanond.detect.protocol import Detector


@asynccontextmanager
async def opened_detector(settings: DetectorConfig) -> AsyncIterator[Detector]:
    """The warm detector. Raises UnavailableError when the device or the weights are missing."""
    with ThreadPoolExecutor(1, "detector") as thread:
        loop = asyncio.get_running_loop()
        detector = await loop.run_in_executor(thread, open_detector, settings)
        try:
            await loop.run_in_executor(thread, detector.warm_up)
            yield detector
        finally:
            await loop.run_in_executor(thread, detector.close)
