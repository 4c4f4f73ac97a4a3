from __future__ import annotations

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aioice
import pytest
from aioice.ice import StunProtocol
from aiortc import RTCRtpSender

from faceanond.clock import SystemClock
from faceanond.config.model import WebRtc
from faceanond.errors import UnavailableError
from faceanond.publish import webrtc
from faceanond.publish.webrtc import internals
from faceanond.publish.webrtc.service import WhepService
from tests.publish.webrtc.feed import finder

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


async def test_the_installed_libraries_have_all_that_is_used_of_them() -> None:
    assert await internals.changed() == []


async def test_what_has_changed_is_told_with_the_library_and_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(self: RTCRtpSender, codec: Any, encoder: Any) -> None: ...

    def handle(self: RTCRtpSender, packet: Any) -> None: ...

    class Renamed(aioice.Connection):  # type: ignore[misc]
        def __init__(self, **named: Any) -> None:
            super().__init__(**named)
            self.waiting = self.__dict__.pop("_queue")

    monkeypatch.setattr(RTCRtpSender, "_run_rtp", run)
    monkeypatch.setattr(RTCRtpSender, "_handle_rtcp_packet", handle)
    monkeypatch.delattr(RTCRtpSender, "_retransmit")
    Renamed.__name__, Renamed.__module__ = "Connection", "aioice.ice"
    monkeypatch.setattr("aioice.Connection", Renamed)
    aiortc = f"aiortc {version('aiortc')} changed RTCRtpSender"
    differences = [
        f"{aiortc}._run_rtp: it takes (codec, encoder), not (codec)",
        f"{aiortc}._retransmit: it is gone",
        f"{aiortc}._handle_rtcp_packet: it is no coroutine",
        f"aioice {version('aioice')} changed Connection: its _queue is gone",
    ]
    assert await internals.changed() == differences
    with pytest.raises(UnavailableError) as caught:
        await internals.verify()
    assert all(difference in str(caught.value) for difference in differences)
    assert str(caught.value).endswith("use aiortc 1.16 and aioice 0.13")


async def test_what_is_only_called_may_take_more_that_need_not_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(self: StunProtocol, message: Any, addr: Any, retry: bool = False, **more: Any) -> None: ...

    def state(self: aioice.Connection, pair: Any, state: Any, why: Any) -> None: ...

    def received(self: StunProtocol, data: Any, addr: Any, arrival: float = 0.0) -> None: ...

    monkeypatch.setattr(StunProtocol, "send_stun", send)
    monkeypatch.setattr(aioice.Connection, "check_state", state)
    monkeypatch.setattr(StunProtocol, "datagram_received", received)
    # The last one is overridden here: whatever the library hands over besides would be an error then.
    assert [difference.partition(" changed ")[2] for difference in await internals.changed()] == [
        "Connection.check_state: it takes (pair, state, why), not (pair, state)",
        "StunProtocol.datagram_received: it takes (data, addr, arrival), not (data, addr)",
    ]


async def test_nobody_is_served_with_a_library_that_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RTCRtpSender, "_run_rtp")
    with pytest.raises(UnavailableError, match=r"RTCRtpSender\._run_rtp: it is gone"):
        await WhepService(finder({}), WebRtc(), clock=SystemClock()).__aenter__()


def test_only_the_versions_of_the_list_can_be_installed() -> None:
    dependencies = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    for library, known in internals.VERSIONS.items():
        major, minor = known.split(".")
        assert f"{library}>={known},<{major}.{int(minor) + 1}" in dependencies
        assert version(library).startswith(f"{known}.")


def test_every_private_name_that_is_used_is_in_the_list() -> None:
    used: set[str] = set()
    own: set[str] = set()
    for path in Path(webrtc.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                own.add(node.name)
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
                made_here = isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
                (own if made_here else used).add(node.attr)
    listed = {method.name for method in internals.METHODS} | {
        name for names in internals.ATTRIBUTES.values() for name in names
    }
    assert used - own <= listed, "aiortc or aioice may change these in any version; add them to internals"
    assert {"_RTCRtpSender__track", "_check_list"} <= used - own
