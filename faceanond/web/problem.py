"""The one form of every error: problem details (RFC 9457), and in them `{"error": ..., "detail": ...}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import CIMultiDict

PROBLEM = "application/problem+json"


class ProblemError(Exception):
    """Ends a handler with an error response; the guard turns it into one."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.detail = detail
        self.headers = headers
        super().__init__(detail)


def later(status: HTTPStatus, detail: str, seconds: int) -> ProblemError:
    """What may succeed after so many seconds."""
    return ProblemError(status, detail, {str(hdrs.RETRY_AFTER): str(seconds)})


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error response; `error` is the status in words, `detail` what is wrong and what to do.

    `type` is always "about:blank", which means: the status says which kind of problem it is.
    """
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "error": status.phrase.lower(),
        "detail": detail,
    }
    response = web.Response(
        text=json.dumps(body), status=status, content_type=PROBLEM, headers=CIMultiDict(headers or {})
    )
    response.headers.setdefault("Cache-Control", "no-store")
    return response
