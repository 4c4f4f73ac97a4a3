"""The WHEP player of Eyevinn, as its own users have it: from npm, bundled for a page of another origin.

It is put together in a folder of its own each time (a few seconds), and nothing of it is kept in this repository.
"""

from __future__ import annotations

import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conftest import need_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PACKAGES = ("@eyevinn/webrtc-player@0.13.0", "esbuild@0.28.2")
ENTRY = 'import { WebRTCPlayer } from "@eyevinn/webrtc-player"; window.WebRTCPlayer = WebRTCPlayer;'
PAGE = """<!doctype html>
<title>A page that knows nothing of faceanond</title>
<video id="video" muted autoplay playsinline></video>
<script src="/bundle.js"></script>
"""


def bundle(folder: Path) -> bytes:
    """The player as one script that sets `window.WebRTCPlayer`. Blocks; skips the test when npm cannot get it."""
    npm = need_tool("npm")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--prefix", str(folder))
    done = subprocess.run(
        [npm, "install", *options, *PACKAGES], capture_output=True, text=True, timeout=120, check=False, cwd=folder
    )
    if done.returncode != 0:
        # The tool is there; a registry that cannot be reached says nothing about us, in CI neither.
        pytest.skip(f"npm could not install {' and '.join(PACKAGES)}:\n{done.stderr[-2000:]}")
    (folder / "entry.js").write_text(ENTRY)
    esbuild = folder / "node_modules" / ".bin" / "esbuild"
    command = [str(esbuild), "entry.js", "--bundle", "--outfile=bundle.js", "--log-level=warning"]
    subprocess.run(command, check=True, timeout=60, cwd=folder)
    return (folder / "bundle.js").read_bytes()


@asynccontextmanager
async def page_of_another_origin(script: bytes) -> AsyncIterator[str]:
    """Serves a page with the player and a <video>; gives its address."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def code(request: web.Request) -> web.Response:
        return web.Response(body=script, content_type="text/javascript")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/bundle.js", code)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))
