"""The one form of every error: JSON `{"error": ..., "detail": ...}`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web


class ProblemError(Exception):
    """Ends a handler with an error response; the guard turns it into one."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.detail = detail
        self.headers = headers
        super().__init__(detail)


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error response; `error` is the status in words, `detail` what is wrong and what to do."""
    return web.json_response(
        {"error": status.phrase.lower(), "detail": detail},
        status=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
