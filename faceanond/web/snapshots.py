"""The last picture of a camera, with what a cache or a page that asks every second needs to know of it."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import ETag, hdrs, web

from faceanond.web.problem import later
from faceanond.web.view import CameraView

CACHING = "private, no-cache"
"""A browser may keep it, and has to ask each time whether it is still the last one; nobody in between may."""
TELL_EVERY = 600.0
"""Seconds between two lines in the log about one viewer and one camera: a wall asks every two seconds, all day."""


async def snapshot(request: web.Request, camera: CameraView) -> web.Response:
    """The picture, or that the asker has it already: then none is made. Raises ProblemError before the first."""
    tag = camera.snapshot_tag()
    if tag is not None and any(known.value in (tag, "*") for known in request.if_none_match or ()):
        answer = web.Response(status=HTTPStatus.NOT_MODIFIED, headers={hdrs.CACHE_CONTROL: CACHING})
        answer.etag = ETag(tag)
        return answer
    picture = await camera.snapshot()
    if picture is None:
        raise later(HTTPStatus.SERVICE_UNAVAILABLE, "the camera has no picture yet", 1)
    answer = web.Response(body=picture.body, content_type="image/jpeg", headers={hdrs.CACHE_CONTROL: CACHING})
    answer.etag = ETag(picture.tag)
    answer.last_modified = datetime.fromtimestamp(int(picture.taken), UTC)
    return answer
