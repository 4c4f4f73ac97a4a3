"""Who asks, for the log and for shares of what there is."""

from __future__ import annotations

from aiohttp import web

from faceanond.watching import Who
from faceanond.web.auth import viewer_of


def who(request: web.Request) -> Who:
    """The viewer, and the address that the connection comes from: behind a proxy that is the proxy's, since anybody
    could write another one into a header."""
    return Who(viewer_of(request).name, request.remote or "")
