"""Three network namespaces in a row, viewer - router - server, on one machine: NAT, firewalls and bad lines for tests.

The addresses are always the same, since each namespace has a network of its own. `Namespace.entered` moves the
calling thread: every socket that it opens then, and every process that it starts, is inside; what it opened before
stays where it was. Needs root; where that or the kernel forbids namespaces, tests skip and say so.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import need_tool

VIEWER = "192.0.2.10"
"""The viewer's address; to it, the router is OUTSIDE."""
OUTSIDE = "192.0.2.1"
"""The router's address on the viewer's side: what a server behind NAT gives as its external address."""
SERVER = "10.77.0.2"
"""The server's address; to it, the router is INSIDE."""
INSIDE = "10.77.0.1"

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace, by its name for `ip netns`."""

    name: str

    def run(self, *command: str, text: str | None = None) -> str:
        """Runs a command inside to its end and returns what it wrote; a failing one fails the test."""
        result = subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert result.returncode == 0, f"{' '.join(command)}: {result.stderr}"
        return result.stdout

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is inside."""
        with Path("/proc/thread-self/ns/net").open("rb") as home, Path(f"/run/netns/{self.name}").open("rb") as there:
            _move(there.fileno())
            try:
                yield
            finally:
                _move(home.fileno())


def _move(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


@dataclass(frozen=True, slots=True)
class Lab:
    """The row of namespaces. At first the router routes everything between its two sides, unchanged."""

    viewer: Namespace
    router: Namespace
    server: Namespace

    def forward(self, *, tcp: Sequence[int] = (), udp: Sequence[int | str] = ()) -> None:
        """Puts the server behind NAT: from the viewer's side only these ports of OUTSIDE lead to it ("40000-40009")."""
        ports = [f"{kind} dport {port}" for kind, listed in (("tcp", tcp), ("udp", udp)) for port in listed]
        self._table(
            "destination_nat",
            "type nat hook prerouting priority -100",
            *(f"ip daddr {OUTSIDE} {port} dnat to {SERVER}" for port in ports),
        )
        self._table("source_nat", "type nat hook postrouting priority 100", f"ip saddr {SERVER} masquerade")
        self._table(
            "inside",
            "type filter hook forward priority 0",
            f'iifname "viewer" ip daddr {SERVER} ct state new ct status & dnat == 0 drop',
        )

    def hide_viewer(self) -> None:
        """Puts the viewer behind NAT, too: the server sees INSIDE."""
        self._table("viewer_nat", "type nat hook postrouting priority 100", f"ip saddr {VIEWER} masquerade")

    def drop_udp(self) -> None:
        """From now on no UDP passes the router, in either direction, as in many offices."""
        self._table("no_udp", "type filter hook forward priority 10", "ip protocol udp counter drop")

    def dropped_udp(self) -> int:
        """How many datagrams `drop_udp` has stopped: above zero proves that somebody tried."""
        counted = re.search(r"counter packets (\d+)", self.router.run("nft", "list", "table", "ip", "no_udp"))
        assert counted is not None
        return int(counted[1])

    def _table(self, name: str, hook: str, *rules: str) -> None:
        self.router.run(
            "nft", "-f", "-", text="\n".join([f"table ip {name} {{", "chain base {", f"{hook};", *rules, "}", "}\n"])
        )

    @contextlib.contextmanager
    def impaired(self, *, loss: float, delay: float, jitter: float) -> Iterator[None]:
        """All that passes the router is lost with that probability, or comes `delay` ± `jitter` seconds later.

        In either direction, each packet by itself, so that later ones overtake earlier ones. Not together with NAT,
        because every packet passes the router twice.
        """
        run = self.router.run
        run("ip", "tuntap", "add", "dev", "bad", "mode", "tun")
        run("ip", "link", "set", "bad", "up")
        run("ip", "route", "add", "default", "dev", "bad", "table", "100")
        arguments = [f"--loss={loss}", f"--delay={delay}", f"--jitter={jitter}"]
        with self.router.entered():
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.bad_line", "bad", *arguments], stdout=subprocess.PIPE
            )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            # What comes from either side goes to the process; what the process writes is routed as always.
            for side in ("viewer", "server"):
                run("ip", "rule", "add", "iif", side, "lookup", "100")
            yield
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            for side in ("viewer", "server"):
                with contextlib.suppress(AssertionError):
                    run("ip", "rule", "del", "iif", side)
            run("ip", "link", "del", "bad")


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    """The three namespaces, removed whatever happens. Skips the test where there can be none."""
    for tool in ("ip", "nft"):
        need_tool(tool)
    number = f"{os.getpid()}-{next(_numbers)}"
    rows = Lab(*(Namespace(f"faceanond-{number}-{role}") for role in ("viewer", "router", "server")))
    made: list[Namespace] = []
    try:
        for space in (rows.viewer, rows.router, rows.server):
            result = subprocess.run(
                ["ip", "netns", "add", space.name], capture_output=True, text=True, timeout=10, check=False
            )
            if result.returncode:
                pytest.skip(f"network namespaces are not allowed here (they need root): {result.stderr.strip()}")
            made.append(space)
            # An IPv6 address is ready a second or two after its link, and Chromium then drops what it is just loading
            # (ERR_NETWORK_CHANGED). -e: a kernel without IPv6 has no such setting.
            space.run(
                "sysctl", "-e", "-q", "-w", *(f"net.ipv6.conf.{each}.disable_ipv6=1" for each in ("all", "default"))
            )
            space.run("ip", "link", "set", "lo", "up")
        _link(rows.router, OUTSIDE, "viewer", rows.viewer, VIEWER)
        _link(rows.router, INSIDE, "server", rows.server, SERVER)
        rows.router.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        yield rows
    finally:
        for space in made:
            subprocess.run(["ip", "netns", "del", space.name], timeout=10, check=False)


def _link(router: Namespace, inner: str, side: str, end: Namespace, outer: str) -> None:
    """A cable from the router's interface `side` to `eth0` of another namespace, whose default route it is."""
    router.run("ip", "link", "add", side, "type", "veth", "peer", "name", "eth0", "netns", end.name)
    for space, device, address in ((router, side, inner), (end, "eth0", outer)):
        space.run("ip", "address", "add", f"{address}/24", "dev", device)
        space.run("ip", "link", "set", device, "up")
    end.run("ip", "route", "add", "default", "via", inner)
