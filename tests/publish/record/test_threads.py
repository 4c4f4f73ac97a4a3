from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from faceanond.errors import RecordFault
from faceanond.publish.record.faults import RecordError
from faceanond.publish.record.threads import DiskThreads


@pytest.fixture
def threads() -> Iterator[DiskThreads]:
    made = DiskThreads("test", 1)
    yield made
    made.close()


async def test_a_job_gives_what_it_returns_and_raises_what_it_raises(threads: DiskThreads) -> None:
    assert await threads.run(lambda: threading.current_thread().name, timeout=5) == "test-0"
    with pytest.raises(OSError, match="broken"):
        await threads.run(_broken, timeout=5)
    assert await threads.run(lambda: 2, timeout=5) == 2


def _broken() -> None:
    raise OSError(5, "broken")


async def test_nobody_waits_longer_than_the_patience_and_what_has_not_begun_never_does(threads: DiskThreads) -> None:
    hanging, done = threading.Event(), []
    with pytest.raises(RecordError) as caught:
        await threads.run(hanging.wait, timeout=0.02)
    assert caught.value.fault is RecordFault.STALLED
    with pytest.raises(RecordError):
        await threads.run(lambda: done.append(1), timeout=0.02)
    hanging.set()
    assert await threads.run(lambda: "again", timeout=5) == "again"
    assert done == []


async def test_a_result_that_comes_too_late_is_undone(threads: DiskThreads) -> None:
    hanging, undone = threading.Event(), threading.Event()
    with pytest.raises(RecordError):
        await threads.run(lambda: hanging.wait() and "file", timeout=0.02, undo=lambda _: undone.set())
    hanging.set()
    await threads.run(lambda: None, timeout=5)
    assert undone.is_set()


async def test_a_job_that_has_begun_is_waited_for_when_its_task_is_cancelled(threads: DiskThreads) -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[str] = []

    def job() -> None:
        begun.set()
        go.wait()
        done.append("written")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(threads.run(job, timeout=5))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        go.set()
    assert task.cancelled()
    assert done == ["written"]


async def test_closed_threads_end(threads: DiskThreads) -> None:
    threads.close()
    (thread,) = threads._threads
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()
