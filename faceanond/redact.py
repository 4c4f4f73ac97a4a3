"""Keeps credentials out of everything that people or machines read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

MASK = "***"
SHORTEST_EVERYWHERE = 4
"""Characters from which on a secret is masked inside other words, too. A shorter one is a part of too many of them: the
password "a" would leave nothing of a log to read. It is masked where it stands alone, and always in the places below.
"""
# user:password@ in any URL, also where the password itself holds "@" or ":": greedy up to the last "@" before the path.
_USERINFO = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<userinfo>[^/\s?#'\"]*)@")
# Every value of a URL's query: cameras call passwords "loginpas", "psw", "p" or whatever they like.
_URL_QUERY = re.compile(r"(?P<url>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#'\"]*\?)(?P<query>[^\s#'\"]*)")
_VALUE = re.compile(r"=[^&;]*")
# password=... and its kin elsewhere: in a query without its URL, and in paths such as /user=a_password=b_channel=1.sdp.
_PAIR = re.compile(
    r"(?i)(?P<name>(?:(?<=[/?&;_])|^)(?:[a-z0-9-]*(?:pass(?:word|wd)?|pwd|psw|pas|token|secret|auth|api[_-]?key"
    r"|signature|user(?:name)?|usr))=)(?:(?!_[a-z0-9]+=)[^/&;?#\s'\"])*"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without URL user names and passwords, query values, telling pairs, and the given secrets.

    A secret of less than SHORTEST_EVERYWHERE characters stays where a letter or digit is beside it.
    """
    text = _USERINFO.sub(rf"\g<scheme>{MASK}@", text)
    text = _URL_QUERY.sub(lambda found: found["url"] + _VALUE.sub(f"={MASK}", found["query"]), text)
    text = _PAIR.sub(rf"\g<name>{MASK}", text)
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        if secret not in text:
            continue
        text = text.replace(secret, MASK) if len(secret) >= SHORTEST_EVERYWHERE else _alone(secret).sub(MASK, text)
    return text


@lru_cache(maxsize=256)
def _alone(secret: str) -> re.Pattern[str]:
    """The secret without a letter or digit beside it; one that ends an escape, as in "%20" or "\\n", does not count."""
    escape = r"(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\[abfnrtv])"
    return re.compile(rf"(?:(?<![^\W_])|{escape}){re.escape(secret)}(?![^\W_])")
