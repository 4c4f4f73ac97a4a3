"""Keeps credentials out of everything that people or machines read."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"
# user:password@ in any URL, also where the password itself holds "@" or ":": greedy up to the last "@" before the path.
_USERINFO = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<userinfo>[^/\s?#'\"]*)@")
# token=..., password=..., and their kin in a query string.
_QUERY = re.compile(
    r"(?i)(?P<name>[?&](?:[a-z0-9_-]*(?:pass(?:word|wd)?|pwd|token|secret|auth|api[_-]?key|signature|user(?:name)?))=)"
    r"[^&\s#'\"]*"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without URL user names and passwords, secret query values, and the given secrets."""
    text = _USERINFO.sub(rf"\g<scheme>{MASK}@", text)
    text = _QUERY.sub(rf"\g<name>{MASK}", text)
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
