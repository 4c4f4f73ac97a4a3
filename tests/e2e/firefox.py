"""A real Firefox, driven by WebDriver BiDi over one WebSocket: Playwright only drives a Firefox of its own making."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import need_tool

PREFERENCES: dict[str, bool | int | str] = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # Headless, nothing is composited, and a page that nobody sees is throttled.
    "media.suspend-background-video.enabled": False,
    "dom.min_background_timeout_value": 4,
    # Candidates as they are: there is no mDNS here, and both ends are on loopback.
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.peerconnection.ice.loopback": True,
    # No questions, no first-run pages, and nothing that looks for a network.
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "browser.aboutwelcome.enabled": False,
    "browser.tabs.crashReporting.sendReport": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "app.update.auto": False,
    "app.normandy.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.cosmeticAnimations.enabled": False,
}
START_WITHIN = 60.0
"""Seconds for Firefox to open its socket: a first start on a loaded machine takes twenty."""
ANSWER_WITHIN = 60.0
LARGEST_MESSAGE = 64 * 1024 * 1024
"""Bytes: a screenshot comes in one message."""


class FirefoxError(AssertionError):
    """Firefox did not do what it was told; the message is its own."""


class Firefox:
    """One browser with one tab. Made by `firefox`, which also ends it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tab = ""
        self.errors: list[str] = []
        """What pages said on the console at level error, and exceptions that nobody caught."""

    async def open(self, url: str) -> None:
        """Goes there and waits until the page is loaded."""
        await self._do("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise, as JSON carries it."""
        wrapped = f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))"
        answer = await self._do("script.evaluate", expression=wrapped, target={"context": self._tab}, awaitPromise=True)
        if answer["type"] == "exception":
            raise FirefoxError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    async def until(self, expression: str, *, seconds: float = 20.0) -> Any:
        """The expression's value as soon as it is truthy."""
        last: Any = None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    if last := await self.evaluate(expression):
                        return last
                    await asyncio.sleep(0.1)
        raise FirefoxError(f"not within {seconds:g} s: {expression} (last: {last!r}; console: {self.errors})")

    async def before_pages(self, function: str) -> None:
        """Runs a JavaScript function (`() => {...}`) in each page that is opened later, before its own scripts."""
        await self._do("script.addPreloadScript", functionDeclaration=function)

    async def resize(self, width: int, height: int) -> None:
        """Gives the page so many CSS pixels."""
        size = {"width": width, "height": height}
        await self._do("browsingContext.setViewport", context=self._tab, viewport=size)

    async def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        answer = await self._do("browsingContext.captureScreenshot", context=self._tab)
        return base64.b64decode(answer["data"])

    async def version(self) -> str:
        """As `navigator.userAgent` tells it."""
        return str(await self.evaluate("navigator.userAgent"))

    async def _begin(self) -> None:
        await self._do("session.new", capabilities={})
        await self._do("session.subscribe", events=["log.entryAdded"])
        tree = await self._do("browsingContext.getTree", maxDepth=0)
        self._tab = tree["contexts"][0]["context"]

    async def _do(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_json({"id": number, "method": method, "params": parameters})
            async with asyncio.timeout(ANSWER_WITHIN):
                return await answer
        finally:
            del self._waiting[number]

    async def _listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if told.get("method") == "log.entryAdded" and told["params"]["level"] == "error":
                self.errors.append(str(told["params"]["text"]))
            waiting = self._waiting.get(told.get("id"))
            if waiting is None or waiting.done():
                continue
            if told["type"] == "success":
                waiting.set_result(told["result"])
            else:
                waiting.set_exception(FirefoxError(f"{told['error']}: {told['message']}"))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(FirefoxError("Firefox ended"))


@asynccontextmanager
async def firefox(
    preferences: Mapping[str, bool | int | str] | None = None, *, prefix: tuple[str, ...] = ()
) -> AsyncIterator[Firefox]:
    """A fresh headless Firefox with a profile of its own; `prefix` is put before its command (`ip netns exec NAME`).

    With a prefix that enters another network namespace the socket must be reachable from here, or the test must run in
    there as a whole.
    """
    command = need_tool("firefox-esr")
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as folder:
        profile = Path(folder)
        chosen = {**PREFERENCES, **(preferences or {})}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in chosen.items()]
        (profile / "user.js").write_text("".join(lines))
        process = await asyncio.create_subprocess_exec(
            *prefix, command, "--headless", "--no-remote", "--profile", folder, "--remote-debugging-port=0",
            "about:blank",
            env={**os.environ, "HOME": folder, "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            address = await _address(profile, process)
            async with (
                aiohttp.ClientSession() as http,
                http.ws_connect(f"{address}/session", max_msg_size=LARGEST_MESSAGE) as socket,
                asyncio.TaskGroup() as tasks,
            ):
                browser = Firefox(socket)
                listening = tasks.create_task(browser._listen(), name="firefox")
                try:
                    await browser._begin()
                    yield browser
                finally:
                    listening.cancel()
        finally:
            # Its content processes belong to the session that was started for it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _address(profile: Path, process: asyncio.subprocess.Process) -> str:
    """Where it listens, which it writes into its profile."""
    file = profile / "WebDriverBiDiServer.json"
    with suppress(TimeoutError):
        async with asyncio.timeout(START_WITHIN):
            while process.returncode is None:
                with suppress(OSError, ValueError, KeyError):
                    told = json.loads(file.read_text())
                    return f"ws://{told['ws_host']}:{told['ws_port']}"
                await asyncio.sleep(0.1)
    raise FirefoxError(f"Firefox did not open its socket (exit code {process.returncode})")
