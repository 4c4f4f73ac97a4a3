import asyncio
import threading

import pytest

from faceanond.mailbox import Mailbox, MailboxClosedError
from tests.conftest import settle


async def test_the_newest_wins_and_the_drops_are_counted() -> None:
    box: Mailbox[int] = Mailbox(capacity=1)
    for item in (1, 2, 3):
        box.put(item)
    assert await box.get() == 3
    assert box.dropped == 2


async def test_items_come_out_in_order_while_there_is_room() -> None:
    box: Mailbox[int] = Mailbox(capacity=3)
    for item in (1, 2, 3):
        box.put(item)
    assert [await box.get() for _ in range(3)] == [1, 2, 3]
    assert box.dropped == 0


async def test_get_waits_for_an_item_from_another_thread() -> None:
    box: Mailbox[str] = Mailbox()
    waiting = asyncio.ensure_future(box.get())  # noqa: TID251
    await settle()
    assert not waiting.done()
    threading.Thread(target=box.put, args=("late",)).start()
    assert await asyncio.wait_for(waiting, 5) == "late"


async def test_a_closed_mailbox_gives_what_it_holds_and_then_says_so() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.close()
    box.put(2)
    assert await box.get() == 1
    with pytest.raises(MailboxClosedError):
        await box.get()


async def test_closing_wakes_the_one_who_waits() -> None:
    box: Mailbox[int] = Mailbox()
    waiting = asyncio.ensure_future(box.get())  # noqa: TID251
    await settle()
    box.close()
    with pytest.raises(MailboxClosedError):
        await asyncio.wait_for(waiting, 5)


async def test_discard_drops_what_waits() -> None:
    box: Mailbox[int] = Mailbox(capacity=2)
    box.put(1)
    box.put(2)
    box.discard()
    box.put(3)
    assert await box.get() == 3
    assert box.dropped == 2


async def test_a_mailbox_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Mailbox(capacity=0)
