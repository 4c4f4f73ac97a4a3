"""Who watched what over WebRTC: one line as a session begins to send and one as it ends, whatever ends it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from faceanond.watching import STOPPING
from tests.publish.webrtc.feed import live, viewer
from tests.publish.webrtc.offers import offer
from tests.waiting import until

ASKING = {"owner": "guard", "client": "192.0.2.7"}


@pytest.mark.parametrize("how", ["viewer", "stream", "server"])
async def test_a_viewer_is_told_as_it_joins_and_as_it_leaves(how: str) -> None:
    with capture_logs() as told:
        async with viewer() as one, live("lobby") as (service, streams):
            answer = await one.accept(await service.offer("lobby", await one.offer(), local="127.0.0.1", **ASKING))
            await one.picture()
            if how == "viewer":
                await service.end(answer.session_id, owner="guard")
            elif how == "stream":
                streams["lobby"].close(STOPPING)
            if how != "server":
                await until(lambda: not service.sessions)
    joined, left = [line for line in told if line["event"].startswith("viewer ")]
    same = {
        "log_level": "info",
        "camera": "lobby",
        "viewer": "guard",
        "client": "192.0.2.7",
        "protocol": "webrtc",
        "codec": "h264",
    }
    assert joined == {"event": "viewer joined", **same}
    assert left.pop("seconds") < 60
    assert left == {"event": "viewer left", **same, "reason": "left" if how == "viewer" else "server stopping"}


async def test_a_viewer_that_does_not_get_through_has_not_joined() -> None:
    with capture_logs() as told:
        async with live("lobby") as (service, _):
            await service.offer("lobby", offer(), local="127.0.0.1", **ASKING)
    assert [line for line in told if line["event"].startswith("viewer ")] == [
        {
            "event": "viewer did not get through",
            "log_level": "info",
            "camera": "lobby",
            "viewer": "guard",
            "client": "192.0.2.7",
            "reason": "server stopping",
        }
    ]
