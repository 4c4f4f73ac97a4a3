"""A viewer to be killed: joins, says so, and watches until then.

python -m tests.load.victim URL
"""

from __future__ import annotations

import asyncio
import sys

from tests.load.servers import CAMERA
from tests.load.webrtc import Viewer, client, reporting


async def main(url: str) -> None:
    async with client() as http:
        viewer = Viewer(http, url, CAMERA)
        await viewer.join()
        async with reporting([viewer]):
            while viewer.arrivals.first_picture is None:  # noqa: ASYNC110 (no event)
                await asyncio.sleep(0.02)
            print("watching", flush=True)
            await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
