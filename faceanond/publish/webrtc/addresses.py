"""Which addresses a viewer is told: this machine's own, by interface, and those under which it is seen from outside."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial

import ifaddr
import structlog

from faceanond.clock import Clock, SystemClock

log = structlog.get_logger(__name__)

BRIDGES = ("docker", "br-", "veth", "virbr", "vnet", "cni", "flannel", "cali", "podman", "lxc", "lxd", "kube")
"""How the names of container and virtual machine bridges begin: no viewer reaches us there."""
LOOKUP = 3.0
"""Seconds that an offer waits for the name service."""
FRESH = 60.0
"""Seconds for which a looked-up address is believed: a dynamic name follows its address within minutes."""
RETRY = 10.0
"""Seconds until a name that could not be looked up is asked for again."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]


def host_addresses(local: str | None, interfaces: Sequence[str] = ()) -> list[str]:
    """This machine's addresses that a viewer may reach, the best first.

    `local` is the address on which the viewer's HTTP request arrived: it is reachable for certain, so it comes first,
    even when it is loopback or a bridge. `interfaces` are names with wildcards, as `webrtc.interfaces`: where there are
    some, no address of another interface is ever in the list, and it may be empty. Bridges are in it when a pattern
    matches them, loopback when it is named in full.
    """
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        name = str(adapter.name)
        named = matches(name, interfaces)
        if interfaces and not named:
            continue
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            hidden = (address.is_loopback and name not in interfaces) or (name.startswith(BRIDGES) and not named)
            # A link-local address means nothing without its interface, which no candidate can name.
            if not (hidden or address.is_link_local):
                found.append(str(address))
    here = unwrapped(local)
    if here is not None and (not interfaces or here in found):
        found.insert(0, here)
    return list(dict.fromkeys(found)) or ([] if interfaces else ["127.0.0.1"])


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether an interface is meant by one of the patterns, such as "eth*"."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def unwrapped(text: str | None) -> str | None:
    """An address of a connection as it may stand in a candidate; None for one that may not."""
    if text is None:
        return None
    address = ipaddress.ip_address(text.partition("%")[0])
    # A listener on [::] sees IPv4 viewers as ::ffff:a.b.c.d.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return None if address.is_link_local else str(mapped or address)


class ExternalAddresses:
    """`webrtc.external_addresses`: addresses, and host names that are looked up when a viewer comes, once a minute.

    A name that cannot be looked up keeps its last addresses, and holds up no other one. `close` frees the threads that
    ask.
    """

    def __init__(
        self, names: Sequence[str] = (), *, clock: Clock | None = None, resolve: Resolve | None = None
    ) -> None:
        self._names = tuple(names)
        self._clock = clock or SystemClock()
        self._known: dict[str, tuple[str, ...]] = {name: (name,) for name in names if _is_address(name)}
        hosts = [name for name in self._names if name not in self._known]
        # A name service may be silent for longer than anybody waits: in the event loop's own threads such questions
        # would pile up before others' work, and be waited for when the daemon stops. In one thread for all names they
        # would keep the others from being asked for, again and again.
        self._threads = {name: ThreadPoolExecutor(1, f"external-address {name}") for name in hosts}
        self._resolve = resolve or self._ask
        self._due = float("-inf")
        self._asking = asyncio.Lock()

    async def current(self) -> list[str]:
        """The addresses now, in the order of the configuration."""
        if self._threads:
            async with self._asking:
                if self._clock.monotonic() >= self._due:
                    await self._look_up_all()
        return list(dict.fromkeys(address for name in self._names for address in self._known.get(name, ())))

    def close(self) -> None:
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    async def _look_up_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._look_up(name), name=f"look up {name}") for name in self._threads]
        answered = all(task.result() for task in asked)
        self._due = self._clock.monotonic() + (FRESH if answered else RETRY)

    async def _look_up(self, name: str) -> bool:
        """Whether there was an answer, which is known then."""
        try:
            async with asyncio.timeout(LOOKUP):
                found = [address for address in await self._resolve(name) if _is_public(address)]
        except (OSError, UnicodeError, TimeoutError) as error:
            reason = str(error) or "the name service does not answer"
            log.warning("an external address cannot be looked up", name=name, reason=reason)
            return False
        if not found:
            log.warning("an external address leads to this machine's loopback", name=name)
        self._known[name] = tuple(found)
        return True

    async def _ask(self, name: str) -> list[str]:
        return await look_up(self._threads[name], name)


async def look_up(thread: Executor, name: str) -> list[str]:
    """The addresses of a host name, asked for in that thread. Raises OSError or UnicodeError."""
    ask = partial(socket.getaddrinfo, name, None, type=socket.SOCK_DGRAM)
    found = await asyncio.get_running_loop().run_in_executor(thread, ask)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_public(text: str) -> bool:
    """Whether an address leads to this machine from elsewhere; /etc/hosts often names it 127.0.1.1."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)
