"""The way to a media server: names, connections and certificates, none of which may hold up anything else.

Looking up a name blocks a thread for as long as a name server is silent, so it happens in two threads of our own, never
in the event loop's, which others need; the same threads read the certificates of the authorities.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from faceanond.addresses import distance, literal
from faceanond.clock import Clock
from faceanond.errors import PushError, PushFault
from faceanond.publish.deadline import within
from faceanond.sockets import tune

LOOK_UP = 5.0
"""Seconds for the server's name."""
CONNECT = 5.0
"""Seconds for the connection to one address, with its TLS handshake."""
MOST_ADDRESSES = 4
"""Addresses of one name that are tried."""
THREADS = 2


class Network:
    """Shared by all pushes. `async with network:` frees its threads at the end."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "push-names")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not waited for: a name server may be silent for longer than anybody has time to stop.
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The IP addresses of a host, best first. Raises PushError."""
        if (address := literal(host)) is not None:
            return [str(address)]
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        loop = asyncio.get_running_loop()

        async def ask() -> list[str]:
            found = await loop.run_in_executor(self._threads, look_up)
            return list(dict.fromkeys(str(address[0]) for *_, address in found))

        late = PushError(PushFault.UNREACHABLE, f"the name {host} was not looked up within {LOOK_UP:.0f} s")
        try:
            found = await within(self._clock, LOOK_UP, ask(), late)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no host name"
            raise PushError(PushFault.UNREACHABLE, f"the name {host} cannot be looked up: {reason}") from None
        return found[:MOST_ADDRESSES]

    async def tls(self, *, verify: bool) -> ssl.SSLContext:
        """The settings of a TLS client."""
        make = _verifying if verify else _trusting
        return await asyncio.get_running_loop().run_in_executor(self._threads, make)

    async def local_address(self, host: str, port: int) -> str:
        """The address of ours that packets to a host have. Nothing is sent. Raises PushError."""
        address = (await self.addresses(host, port))[0]
        with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect((address, port))
            except OSError as error:
                raise connect_error(host, port, error) from None
            return str(probe.getsockname()[0])

    def http(self, tls: ssl.SSLContext | None, *, known: Sequence[str]) -> aiohttp.ClientSession:
        """An HTTP client on our own way of looking up names; the caller closes it, and limits the time of requests.

        `known` are the addresses of the configured server. Wherever it sends us, by a redirect or otherwise, is not
        nearer to us than itself: else a server on the internet could have requests made inside our network. Raises
        PushError where it is.
        """
        farthest = max(map(distance, known))

        def connectable(place: tuple[Any, ...]) -> socket.socket:
            family, kind, protocol, _, (address, *_) = place
            if address not in known and distance(address) < farthest:
                message = f"the server sends us to {address}, which is inside a network that it is not in itself"
                raise PushError(PushFault.REFUSED, message)
            return socket.socket(family, kind, protocol)

        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self),
            use_dns_cache=False,
            ssl=tls or True,
            force_close=True,
            limit=4,
            socket_factory=connectable,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
            headers={"User-Agent": "faceanond", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def connect(
        self, host: str, port: int, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that answers; the caller closes it. Raises PushError."""
        failure: PushError | None = None
        for address in await self.addresses(host, port):
            late = PushError(PushFault.TIMEOUT, f"no connection to {_place(host, port)} within {CONNECT:.0f} s")
            try:
                return await within(self._clock, CONNECT, _open(address, port, tls, host), late)
            except PushError as error:
                failure = error
            except OSError as error:
                failure = connect_error(host, port, error)
        raise failure or PushError(PushFault.UNREACHABLE, f"the name {host} has no address")


async def _open(
    address: str, port: int, tls: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    opened = socket.socket(_family(address), socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        tune(opened)
        await asyncio.get_running_loop().sock_connect(opened, (address, port))
    except BaseException:
        opened.close()
        raise
    # From here on asyncio closes it, also when the handshake fails or is cancelled.
    return await asyncio.open_connection(sock=opened, ssl=tls, server_hostname=host if tls else None)


def within_machine(own: str, peer: str) -> bool:
    """Whether a connection between these two addresses stays on this machine, where nobody in between reads along."""
    return own == peer or distance(peer) == 0


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class _Resolver(AbstractResolver):
    """Our look-ups for the HTTP library."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=_family(address), proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in await self._network.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing is owned."""


def connect_error(host: str, port: int, error: OSError) -> PushError:
    """What went wrong on the way to a server, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the certificate of {host} is not accepted: {error.verify_message}"
        return PushError(PushFault.TLS, why)
    if isinstance(error, ssl.SSLError):
        return PushError(PushFault.TLS, f"no TLS with {_place(host, port)}: {error.reason or 'handshake failed'}")
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error) or type(error).__name__
    return PushError(PushFault.UNREACHABLE, f"no connection to {_place(host, port)}: {reason}")


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@cache
def _verifying() -> ssl.SSLContext:
    return ssl.create_default_context()


@cache
def _trusting() -> ssl.SSLContext:
    """For `tls_verify = false`: encrypted, and open to whoever sits in between."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
