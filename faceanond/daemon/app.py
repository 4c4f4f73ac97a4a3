"""The daemon: the only place where objects are built, and the order in which they start and end.

Listeners open first, so that a port in use is told at once. Then the detector warms up, then the cameras start; only
then is the daemon ready. It ends the other way round: not ready, cameras, detector, pushes, viewers, listeners.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial

import structlog

from faceanond import __version__
from faceanond.access import Access
from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.clock import Clock
from faceanond.config.model import Config
from faceanond.daemon.detector import opened_detector
from faceanond.daemon.fleet import Fleet
from faceanond.daemon.notify import Notifier, feed_watchdog
from faceanond.daemon.push import Pushes
from faceanond.daemon.signals import stop_on_signals
from faceanond.daemon.supervisor import Supervisor
from faceanond.daemon.version import ffmpeg_version, versions
from faceanond.detect.protocol import Detector
from faceanond.errors import ExitCode
from faceanond.inference.batcher import Batcher
from faceanond.logins import FailedLogins
from faceanond.observe.health import Health
from faceanond.observe.logging import log_loop_errors
from faceanond.observe.metrics import Metrics
from faceanond.pipeline.camera import CameraPipeline
from faceanond.pipeline.selftest import CAMERA, anonymiser_hides, detector_answers
from faceanond.publish.record.service import Recordings
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.webrtc.service import WhepService
from faceanond.shares import Shares
from faceanond.status import InferenceStatus
from faceanond.watching import STOPPING
from faceanond.web.app import build
from faceanond.web.server import serving

log = structlog.get_logger(__name__)

STOP_WITHIN = 5.0
"""Seconds for an orderly end, after which the process ends as it is. systemd's own patience is longer."""
SILENCE = 20.0
"""Seconds without a sign of life of a vital part, after which the watchdog is no longer fed: a slow machine under full
load needs two or three."""
PROBE_EVERY = 2.0
"""Seconds between two self-tests of queue and anonymiser: they cost a few milliseconds each."""


class App:
    """One run of the daemon. `announce` prints where to look, for a person at a terminal."""

    def __init__(self, config: Config, *, clock: Clock, announce: bool = False) -> None:
        self._config = config
        self._clock = clock
        self._announce = announce
        self._access = Access(config.viewers)
        self._failures = FailedLogins(clock)
        self._shares = Shares(config.viewers, clock=clock)
        self._fleet = Fleet(config.cameras, clock=clock)
        self._recordings = Recordings(
            config.record, {name: camera.record for name, camera in config.cameras.items()}, clock=clock
        )
        self._fleet.record(self._recordings.status)
        self._health = Health(clock)
        self._listening = self._health.condition("listening")
        self._running = self._health.condition("running")
        # Asked of the packages' files, so before the event loop runs.
        self._versions = versions()
        self._inference: Batcher | None = None

    async def run(self, *, duration: float | None = None) -> None:
        """Runs until a signal or for `duration` seconds. Raises what the whole process must end for (in a group)."""
        log_loop_errors(asyncio.get_running_loop())
        stop = asyncio.Event()
        with (
            ExitStack() as ending,
            stop_on_signals(stop),
            Notifier.from_environment() as notifier,
            ThreadPoolExecutor(2, "pages") as pages,
            ThreadPoolExecutor(1, "self-test") as probing,
        ):
            async with AsyncExitStack() as stack:
                await self._listen(stack, pages)
                detector = await stack.enter_async_context(opened_detector(self._config.detector))
                async with self._serving(detector, pages, probing, ending):
                    notifier.ready(f"detecting on {detector.provider}")
                    watchdog = feed_watchdog(notifier, lambda: self._health.alive()[0], self._clock)
                    await _until(stop, duration, watchdog)
                    notifier.stopping()
        log.info("stopped")

    async def _listen(self, stack: AsyncExitStack, pages: Executor) -> None:
        """Opens every listener; each is closed by the stack."""
        config, clock, find = self._config, self._clock, self._fleet.stream
        whep = await stack.enter_async_context(WhepService(find, config.webrtc, clock=clock, shares=self._shares))
        rtsp: RtspServer | None = None
        metrics = Metrics(
            self._fleet.cameras,
            self._statistics,
            self._health.loop_lag,
            version=__version__,
            ffmpeg=ffmpeg_version(),
            executor=pages,
            logins=lambda: self._failures.counts,
            failed=lambda: {"webrtc": whep.failed, "rtsp": rtsp.failed if rtsp is not None else 0},
            strays=whep.dropped,
        )
        if config.rtsp.enabled:
            players = RtspServer(
                find, config.rtsp, clock=clock, access=self._access, failures=self._failures, shares=self._shares
            )
            rtsp = await stack.enter_async_context(players)
        page = build(
            self._fleet,
            whep,
            self._health,
            metrics.scrape,
            config.http,
            access=self._access,
            failures=self._failures,
            shares=self._shares,
            ice_servers=config.webrtc.ice_servers,
            clock=clock,
            versions=lambda: self._versions,
            recordings=self._recordings,
        )
        host, port = await stack.enter_async_context(serving(page, config.http, clock=clock))
        self._listening.set()
        if self._announce:
            _announce(config, (host, port), rtsp.port if rtsp is not None else None)

    @asynccontextmanager
    async def _serving(
        self, detector: Detector, pages: Executor, probing: Executor, ending: ExitStack
    ) -> AsyncIterator[None]:
        """The time from the cameras' start to their end. Left by an exception when a vital part fails.

        `probing` is for the self-test alone, so that no flood of requests delays it. From its end on a deadline runs,
        which `ending` lifts when everything is over.
        """
        config, clock, health = self._config, self._clock, self._health
        settings = config.detector
        # Nobody waits for an answer that comes too late to be shown.
        timeout = min(settings.timeout, config.overload.max_latency)
        batcher = self._inference = Batcher(detector, max_batch=settings.max_batch, timeout=timeout, clock=clock)
        pipelines = {
            name: CameraPipeline(name, camera, detector=batcher, clock=clock, overload=config.overload)
            for name, camera in config.cameras.items()
            if camera.enabled
        }
        pushes = Pushes(config, {name: pipeline.stream for name, pipeline in pipelines.items()}, clock=clock)
        self._fleet.start(pipelines, pages, pushes.pushers)
        async with asyncio.TaskGroup() as tasks:
            inference = tasks.create_task(batcher.run(), name="inference")
            # Before any camera: the first batch carries the canary, and a blind detector ends the start here.
            await detector_answers(batcher)
            recorded = {name: line.stream for name, line in pipelines.items() if line.settings.record.enabled}
            recordings = tasks.create_task(self._recordings.run(recorded), name="recordings")
            cameras = tasks.create_task(Supervisor(pipelines, clock=clock).run(), name="cameras")
            pushing = tasks.create_task(pushes.run(), name="pushes")
            pulses = [
                tasks.create_task(pulse, name="pulse")
                for pulse in (
                    health.pulse_loop(limit=SILENCE),
                    health.pulse("detector", partial(detector_answers, batcher), limit=SILENCE, step=PROBE_EVERY),
                    health.pulse("anonymiser", self._hides(probing), limit=SILENCE, step=PROBE_EVERY),
                )
            ]
            self._running.set()
            log.info("started", version=__version__, cameras=len(pipelines), provider=detector.provider)
            try:
                yield
            finally:
                ending.enter_context(_deadline())
                self._running.set(False)
                for task in (*pulses, cameras, inference, pushing, recordings):
                    task.cancel()
                    await asyncio.wait([task])
                for pipeline in pipelines.values():
                    await pipeline.close(STOPPING)

    def _hides(self, probing: Executor) -> Callable[[], Awaitable[None]]:
        anonymiser = Anonymiser(CAMERA, self._config.anonymise, clock=self._clock)
        return partial(anonymiser_hides, anonymiser, probing)

    def _statistics(self) -> InferenceStatus | None:
        return None if self._inference is None else self._inference.statistics()


async def _until(stop: asyncio.Event, duration: float | None, meanwhile: Coroutine[None, None, None]) -> None:
    """Waits for the stop, or for so many seconds; the other work is cancelled then."""
    async with asyncio.TaskGroup() as tasks:
        other = tasks.create_task(meanwhile, name="watchdog")
        try:
            async with asyncio.timeout(duration):
                await stop.wait()
        except TimeoutError:
            log.info("stopping", reason="the duration is over")
        other.cancel()


@contextmanager
def _deadline() -> Iterator[None]:
    """Ends the process from a thread of its own when leaving takes too long: a loop that hangs cannot do it."""
    timer = threading.Timer(STOP_WITHIN, _give_up)
    timer.name, timer.daemon = "deadline", True
    timer.start()
    yield
    timer.cancel()


def _give_up() -> None:
    log.critical("ended without order: stopping took too long", seconds=STOP_WITHIN)
    os._exit(ExitCode.FAILED)


def _announce(config: Config, http: tuple[str, int], rtsp_port: int | None) -> None:
    host = f"[{http[0]}]" if ":" in http[0] else http[0]
    page = f"{'https' if config.http.certificate else 'http'}://{host}:{http[1]}/"
    print(f"\n  Watch:    {page}", flush=True)
    if rtsp_port is not None:
        for name in config.cameras:
            print(f"  RTSP:     rtsp://{host}:{rtsp_port}/{name}", flush=True)
    print(f"  Metrics:  {page}metrics\n  End:      Ctrl-C\n", flush=True)
