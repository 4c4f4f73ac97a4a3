"""What was recorded: a list from memory, and the files themselves, by ranges.

The rule: a request names a recording, never a path; what is not in the index does not exist. Files are read in the
threads that recordings have for that, piece by piece, so that a disk that hangs holds up nobody else. Nothing is to be
kept by browsers or proxies: when a recording is deleted, it is to be gone.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import structlog
from aiohttp import ETag, hdrs, web

from faceanond.buckets import network_of
from faceanond.clock import Clock
from faceanond.errors import RecordFault
from faceanond.publish.record.faults import RecordError
from faceanond.publish.record.index import Segment
from faceanond.publish.record.playback import Playback
from faceanond.watching import Fetches, Who
from faceanond.web.auth import camera_of
from faceanond.web.problem import ProblemError, later
from faceanond.web.receiver import Receiver, ReceiverGoneError, TooSlowError
from faceanond.web.view import Fleet, Recordings
from faceanond.web.who import who

log = structlog.get_logger(__name__)

PARAMETERS = ("from", "to", "limit", "order", "after", "before")
"""What a list may be asked with."""
PAGE, LARGEST_PAGE = 100, 1000
"""Recordings in one answer, unless asked otherwise, and at most."""
PIECE = 256 * 1024
"""Bytes read at once: a second at the default bit rate, and what each download holds in memory."""
DOWNLOADS = 32
"""Recordings that are handed out at the same time; live pictures go first."""
SHARE = 8
"""Of these for one viewer, by address where there is no login: a browser asks for up to three parts of what it plays at
once, and may have a few pages open."""
SLOW = 20.0
"""Seconds that a client may take for one piece: 100 kbit/s. One that takes less holds its place for others, and does
not watch: a browser whose video pauses asks for the rest when it goes on."""
RETRY = 10
"""Seconds after which it makes sense to ask again."""
TELL_EVERY = 60.0
"""Seconds between two lines about one viewer and one recording: a browser asks for many parts of each."""
FOREVER = 253_402_300_799_000
"""Milliseconds: the end of the year 9999."""


class RecordingRoutes:
    """The routes below `/api/cameras/NAME/recordings` and `/cameras/NAME/recordings`."""

    def __init__(self, fleet: Fleet, recordings: Recordings, clock: Clock) -> None:
        self._fleet = fleet
        self._recordings = recordings
        # Viewer, or network where there is no login -> what is handed out to it now.
        self._downloads: Counter[str] = Counter()
        self._watched = Fetches("recording watched", interval=TELL_EVERY, clock=clock)
        self._broken = Fetches("recording broken off", interval=TELL_EVERY, clock=clock)

    def install(self, app: web.Application) -> None:
        app.router.add_get("/api/cameras/{name}/recordings", self.list)
        app.router.add_get("/cameras/{name}/recordings/{file}", self.play)

    async def list(self, request: web.Request) -> web.Response:
        camera, query = self._camera(request), request.query
        _refuse_unknown(query)
        most = _number(query, "limit", PAGE, LARGEST_PAGE)
        after, before = _number(query, "after", -1, FOREVER), _number(query, "before", FOREVER, FOREVER)
        start, end = _time(query, "from", 0), _time(query, "to", FOREVER)
        if _is_newest_first(query):
            found = self._recordings.latest(camera, start, min(end, before), most=most)
            place = "before"
        else:
            found = self._recordings.between(camera, start, end, most=most, after=after)
            place = "after"
        more = None
        if len(found) == most:
            more = f"{request.path}?{urlencode({**query, place: found[-1].start})}"
        return web.json_response({"recordings": [_json(segment) for segment in found], "next": more})

    async def play(self, request: web.Request) -> web.StreamResponse:
        """The file, or a range of it; of one that is being written, what is whole by now."""
        camera, asker, file = self._camera(request), who(request), request.match_info["file"]
        with self._place(asker):
            try:
                playback = await self._recordings.play(camera, file)
            except RecordError as error:
                raise _unreadable(camera, asker, error) from error
            if playback is None:
                raise ProblemError(HTTPStatus.NOT_FOUND, "there is no recording of that name (any more)")
            async with playback:
                return await self._hand_out(request, playback, asker)

    async def _hand_out(self, request: web.Request, playback: Playback, asker: Who) -> web.StreamResponse:
        """Tells the log at the beginning, and at the end of what took long."""
        camera, file = playback.segment.camera, playback.segment.name.file
        response, start, stop = _head(request, playback)
        if start == stop:  # nothing but the head is asked for
            return response
        receiver = Receiver(request.transport)
        # The first piece before the head: what cannot be read is an error then, not a broken answer.
        try:
            piece = await playback.read(min(PIECE, stop - start), start)
        except RecordError as error:
            raise _unreadable(camera, asker, error) from error
        self._watched.note(camera, asker, file=file)
        try:
            await receiver.take(response.prepare(request))
            while piece:
                await receiver.take(response.write(piece), within=SLOW)
                start += len(piece)
                piece = await playback.read(min(PIECE, stop - start), start) if start < stop else b""
            if start < stop:
                raise RecordError(RecordFault.IO, "the file is shorter than it was")
        except RecordError as error:
            # Too late for an error's status: an answer that breaks off is no whole one.
            _tell(camera, asker, error)
            if request.transport is not None:
                request.transport.abort()
        except TooSlowError as error:
            self._broken.note(camera, asker, file=file, reason=str(error))
        except ReceiverGoneError:
            pass  # it left, as a browser does for each jump to another place
        finally:
            self._watched.note(camera, asker, file=file)
        return response

    @contextmanager
    def _place(self, asker: Who) -> Iterator[None]:
        """One of the places for downloads. Raises ProblemError when there is none, or none for that viewer."""
        holder = asker.viewer or network_of(asker.client)
        if self._downloads[holder] >= SHARE:
            whom = "you have" if asker.viewer else "your address has"
            detail = f"{whom} {SHARE} recordings under way already, which is the most; close some"
            raise later(HTTPStatus.TOO_MANY_REQUESTS, detail, RETRY)
        if self._downloads.total() >= DOWNLOADS:
            raise later(HTTPStatus.SERVICE_UNAVAILABLE, f"{DOWNLOADS} recordings are being handed out already", RETRY)
        self._downloads[holder] += 1
        try:
            yield
        finally:
            self._downloads[holder] -= 1
            if not self._downloads[holder]:
                del self._downloads[holder]

    def _camera(self, request: web.Request) -> str:
        camera_of(request, self._fleet)
        return request.match_info["name"]


def _head(request: web.Request, playback: Playback) -> tuple[web.StreamResponse, int, int]:
    """The answer but for its body, and which bytes of the file that is: (answer, start, stop)."""
    tag = ETag(f"{playback.segment.start:x}-{playback.size:x}")
    headers = {hdrs.ACCEPT_RANGES: "bytes", hdrs.CACHE_CONTROL: "no-store"}
    if any(known.value == tag.value for known in request.if_none_match or ()):
        unchanged = web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        unchanged.etag = tag
        return unchanged, 0, 0
    start, stop = _range(request, playback.size, tag)
    response = web.StreamResponse(headers=headers)
    response.content_type = "video/mp4"
    response.etag = tag
    response.last_modified = datetime.fromtimestamp(playback.segment.end // 1000, UTC)
    response.content_length = stop - start
    if (start, stop) != (0, playback.size):
        response.set_status(HTTPStatus.PARTIAL_CONTENT)
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{playback.size}"
    return response, start, start if request.method == hdrs.METH_HEAD else stop


def _range(request: web.Request, size: int, tag: ETag) -> tuple[int, int]:
    """(start, stop) of what is asked for. Raises ProblemError (416) when there is nothing there."""
    wanted = request.headers.get(hdrs.IF_RANGE)
    if wanted is not None and wanted != f'"{tag.value}"':
        return 0, size
    try:
        asked = request.http_range
    except ValueError:
        # Several ranges, or none that anybody understands: the whole is a right answer, too (RFC 9110, 14.2).
        return 0, size
    if asked.start is None:
        return 0, size
    start = asked.start if asked.start >= 0 else max(0, size + asked.start)
    stop = size if asked.stop is None else min(asked.stop, size)
    if start >= stop:
        headers = {str(hdrs.CONTENT_RANGE): f"bytes */{size}"}
        raise ProblemError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"the recording has {size} bytes", headers)
    return start, stop


def _json(segment: Segment) -> dict[str, Any]:
    """One recording. Times are Unix seconds."""
    return {
        "file": segment.name.file,
        "url": f"/cameras/{segment.camera}/recordings/{segment.name.file}",
        "start": segment.start / 1000,
        "end": segment.end / 1000,
        "duration": (segment.end - segment.start) / 1000,
        "bytes": segment.size,
        "complete": segment.complete,
        "lost": segment.lost,
    }


def _refuse_unknown(query: Mapping[str, str]) -> None:
    """A parameter that is misspelt would be one that is missing: everything would be listed."""
    unknown = [key for key in query if key not in PARAMETERS]
    if unknown:
        message = f"{unknown[0][:40]}: unknown parameter; expected {', '.join(PARAMETERS[:-1])} or {PARAMETERS[-1]}"
        raise ProblemError(HTTPStatus.BAD_REQUEST, message)


def _time(query: Mapping[str, str], key: str, default: int) -> int:
    """Milliseconds since 1970, from Unix seconds or ISO 8601 (UTC unless it says otherwise)."""
    text = query.get(key)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            seconds = math.nan
        else:
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds * 1000 <= FOREVER:
        message = f'{key}: expected Unix seconds or a time such as "2026-11-27T03:30:00Z"'
        if re.search(r":[0-9.]+ [0-9]", text):
            # A zone's "+" that was written as it is.
            message += '; "+" means a space in a URL: write it as %2B'
        raise ProblemError(HTTPStatus.BAD_REQUEST, message)
    return round(seconds * 1000)


def _is_newest_first(query: Mapping[str, str]) -> bool:
    order = query.get("order", "oldest")
    if order not in ("oldest", "newest"):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "order: expected oldest or newest, which is what comes first")
    return order == "newest"


def _number(query: Mapping[str, str], key: str, default: int, most: int) -> int:
    text = query.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 15 or not 1 <= int(text) <= most:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{key}: expected a whole number from 1 to {most}")
    return int(text)


def _unreadable(camera: str, asker: Who, error: RecordError) -> ProblemError:
    # It names the folder, which is nothing to viewers.
    _tell(camera, asker, error)
    return later(HTTPStatus.SERVICE_UNAVAILABLE, "the disk does not let it be read now; the log says why", RETRY)


def _tell(camera: str, asker: Who, error: RecordError) -> None:
    viewer, client = asker
    log.warning("a recording cannot be read", camera=camera, viewer=viewer, client=client, detail=str(error))
