"""Whether the process does its work (alive) and may be sent viewers (ready). Never depends on a camera.

Each vital part has a heartbeat that must not grow older than its limit. Parts that rest when there is nothing to do are
asked to do a little: `pulse` gives a part a small job at every step, and its beat is that job's success. So a beat of
the detector means that it answered, and a beat of the event loop means that it came round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from faceanond.clock import Clock
from faceanond.stats import SECONDS, Histogram, HistogramSnapshot

log = structlog.get_logger(__name__)

Details = dict[str, float | bool | list[str]]
Probe = Callable[[], Awaitable[object]]

STEP = 1.0
"""Seconds between two beats: well below any limit, and a cost that nobody notices."""
LOOP_STEP = 0.05
"""Seconds between two beats of the event loop: two thousand measured lags in 100 s, for 0.1 % of a core."""


class Heartbeat:
    """One part's last sign of life. `beat` may be called from any thread."""

    def __init__(self, clock: Clock, limit: float) -> None:
        self._clock = clock
        self._last = clock.monotonic()  # being started is a sign of life
        self.limit = limit

    def beat(self) -> None:
        self._last = self._clock.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock.monotonic() - self._last

    @property
    def fresh(self) -> bool:
        return self.age <= self.limit


class Condition:
    """One thing that must hold before viewers are welcome: the detector is warm, a listener is open."""

    def __init__(self) -> None:
        self.holds = False

    def set(self, holds: bool = True) -> None:
        self.holds = holds


class Health:
    """Knows every heartbeat and condition. Answers from memory; `failing` lists the names that speak against it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heartbeats: dict[str, Heartbeat] = {}
        self._conditions: dict[str, Condition] = {}
        self._lag = 0.0
        self._lags = Histogram(*SECONDS)

    def heartbeat(self, name: str, *, limit: float) -> Heartbeat:
        """Adds a part that must show signs of life at least every `limit` seconds."""
        if name in self._heartbeats:
            raise ValueError(f"there is a heartbeat {name!r} already")
        heartbeat = self._heartbeats[name] = Heartbeat(self._clock, limit)
        return heartbeat

    def condition(self, name: str) -> Condition:
        """Adds something that must hold for readiness; it does not yet."""
        if name in self._conditions:
            raise ValueError(f"there is a condition {name!r} already")
        condition = self._conditions[name] = Condition()
        return condition

    def alive(self) -> tuple[bool, Details]:
        """Whether every heartbeat is fresh, and what that rests on. The watchdog is fed on nothing else."""
        stale = [name for name, heartbeat in self._heartbeats.items() if not heartbeat.fresh]
        ages = {f"{name}_age_seconds": round(heartbeat.age, 3) for name, heartbeat in self._heartbeats.items()}
        return not stale, {"failing": stale, **ages, "loop_lag_seconds": round(self._lag, 3)}

    def ready(self) -> tuple[bool, Details]:
        """Whether it is alive and every condition holds, and what that rests on."""
        alive, details = self.alive()
        states = {name: condition.holds for name, condition in self._conditions.items()}
        missing = [name for name, holds in states.items() if not holds]
        stale = [name for name, heartbeat in self._heartbeats.items() if not heartbeat.fresh]
        return alive and not missing, {**details, **states, "failing": stale + missing}

    async def pulse(self, name: str, probe: Probe, *, limit: float, step: float = STEP) -> None:
        """Keeps the heartbeat `name`: gives its part a small job at every step. Runs until cancelled.

        A job that fails, or takes longer than the limit, is no beat; it is logged once until the next success.
        """
        heartbeat = self.heartbeat(name, limit=limit)
        failing = False
        while True:
            try:
                async with asyncio.timeout(limit):
                    await probe()
            except Exception as error:  # noqa: BLE001 - whatever a part's job raises means the same: no sign of life
                if not failing:
                    log.error("health probe failed", part=name, detail=str(error) or type(error).__name__)
                failing = True
            else:
                if failing:
                    log.info("health probe recovered", part=name)
                failing = False
                heartbeat.beat()
            await self._clock.sleep(step)

    def loop_lag(self) -> HistogramSnapshot:
        """How late the event loop came round, in seconds, at each beat since the start."""
        return self._lags.snapshot()

    async def pulse_loop(self, *, limit: float, step: float = LOOP_STEP) -> None:
        """Keeps the event loop's heartbeat and measures how late it comes round. Runs until cancelled."""
        heartbeat = self.heartbeat("loop", limit=limit)
        while True:
            due = self._clock.monotonic() + step
            await self._clock.sleep(step)
            self._lag = max(0.0, self._clock.monotonic() - due)
            self._lags.observe(self._lag)
            heartbeat.beat()
