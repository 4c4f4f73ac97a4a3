"""The sockets of a push over UDP."""

from __future__ import annotations

import asyncio
import socket

import pytest

from faceanond.publish.push.delivery import UdpDelivery
from tests.conftest import FakeClock, settle


@pytest.mark.parametrize("steps", range(1, 7))
async def test_a_push_that_is_stopped_before_its_ports_are_open_leaves_none(steps: int, clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as end:
        delivery = UdpDelivery(clock=clock)
        delivery.bind(end)
        first, second = delivery.ports
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(delivery.open(end, (5000, 5001)), name="opening")
            for _ in range(steps):
                await asyncio.sleep(0)
            opening.cancel()
        assert opening.cancelled() or steps > 2, "the cancellation goes on to whoever made it"
        delivery.close()
        await settle()
        for port in (first, second):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                again.bind(("127.0.0.1", port))
