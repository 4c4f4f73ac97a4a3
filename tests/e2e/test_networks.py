"""The daemon behind NAT, behind a firewall that drops UDP, behind a TURN server and on a bad line, seen by Chromium.

Each test prints a row of what the browser itself measured (`pytest -s`).
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.conftest import need_tool
from tests.e2e.browser import wall
from tests.e2e.daemon import Daemon, daemon, eventually
from tests.e2e.netns import INSIDE, OUTSIDE, SERVER, VIEWER, Lab, Namespace, lab
from tests.publish.webrtc.offers import offer

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

PORT = 40000
"""The single port for media in these tests."""
CAMERA = '[cameras.hall]\nsource = "demo:?size=640x360&fps=15"\n'

REPORT = """
async () => {
  const connection = window.connections.at(-1);
  if (!connection) return null;
  const reports = [...(await connection.getStats()).values()];
  const video = reports.find((report) => report.type === "inbound-rtp");
  const transport = reports.find((report) => report.type === "transport");
  const pair = reports.find((report) => report.id === transport?.selectedCandidatePairId);
  if (!video || !pair) return null;
  const remote = reports.find((report) => report.id === pair.remoteCandidateId);
  const { framesDecoded, framesDropped, freezeCount, totalFreezesDuration, pliCount, nackCount, packetsLost,
    packetsReceived, retransmittedPacketsReceived, bytesReceived, jitter, keyFramesDecoded } = video;
  return {
    framesDecoded, framesDropped, freezeCount, totalFreezesDuration, pliCount, nackCount, packetsLost,
    packetsReceived, retransmittedPacketsReceived, bytesReceived, jitter, keyFramesDecoded,
    address: remote.address, port: remote.port, protocol: remote.protocol, kind: remote.candidateType,
    connections: window.connections.length,
  };
}
"""
"""What the newest connection of the page receives, and over which address of ours."""


@contextlib.contextmanager
def serving(net: Lab, folder: Path, settings: str, camera: str = CAMERA) -> Iterator[Daemon]:
    """The daemon in the server's namespace, for every interface. Ask it inside `net.server.entered()` only."""
    config = folder / "config.toml"
    config.write_text(f"[webrtc]\n{settings}\n{camera}")
    with contextlib.ExitStack() as stack:
        with net.server.entered():
            running = stack.enter_context(daemon(["run", "-c", str(config)], folder, host="0.0.0.0"))
        yield running


def port_of(running: Daemon) -> int:
    return int(running.url.rpartition(":")[2])


@contextlib.contextmanager
def watching(net: Lab, running: Daemon, host: str) -> Iterator[Page]:
    """A browser in the viewer's namespace on the camera's page; moves the calling thread there."""
    with net.viewer.entered(), wall(f"http://{host}:{port_of(running)}/cameras/hall") as page:
        yield page


def report(page: Page) -> dict[str, Any] | None:
    found = page.evaluate(REPORT)
    return dict(found) if found and found["framesDecoded"] else None


def plays(page: Page, frames: int = 30) -> dict[str, Any]:
    """Waits for the picture and for so many more frames; returns what the browser says then."""
    first = eventually(lambda: report(page), "the first picture", 25)
    return dict(
        eventually(
            lambda: (now := report(page)) and now["framesDecoded"] >= first["framesDecoded"] + frames and now,
            f"{frames} more frames",
            30,
        )
    )


def row(name: str, found: dict[str, Any], seconds: float | None = None) -> None:
    """One line of the table."""
    over = f"{found['kind']} {found['protocol']} {found['address']}:{found['port']}"
    rate = f"{found['framesDecoded'] / seconds:5.1f}/s" if seconds else f"{found['framesDecoded']:5d}  "
    print(
        f"\n{name:34} {over:34} frames {rate} freezes {found['freezeCount']} ({found['totalFreezesDuration']:.2f} s) "
        f"lost {found['packetsLost']} of {found['packetsReceived'] + found['packetsLost']} "
        f"resent {found['retransmittedPacketsReceived']} NACK {found['nackCount']} PLI {found['pliCount']}"
    )


def gone(net: Lab, running: Daemon) -> None:
    """Waits until the daemon has no viewer any more."""
    with net.server.entered():
        eventually(
            lambda: running.metrics("faceanond_viewers")['{camera="hall",protocol="webrtc"}'] == 0, "no viewer", 15
        )


@pytest.mark.parametrize("ports", [f"{PORT}", f"{PORT}-{PORT + 3}"])
def test_a_viewer_behind_nat_sees_a_server_behind_nat(ports: str, tmp_path: Path) -> None:
    settings = f'udp_ports = "{ports}"\nmax_viewers = 4\nexternal_addresses = ["{OUTSIDE}"]'
    with lab() as net, serving(net, tmp_path, settings) as running:
        net.forward(tcp=[port_of(running)], udp=[ports])
        net.hide_viewer()
        with watching(net, running, OUTSIDE) as page:
            found = plays(page)
        row(f"both behind NAT, ports {ports}", found)
        assert (found["address"], found["protocol"]) == (OUTSIDE, "udp")
        assert str(found["port"]) in {str(port) for port in range(PORT, PORT + (4 if "-" in ports else 1))}
        gone(net, running)


def test_where_udp_is_dropped_the_media_go_over_tcp(tmp_path: Path) -> None:
    settings = f'udp_ports = "{PORT}"\ntcp_port = {PORT}\nexternal_addresses = ["{OUTSIDE}"]'
    with lab() as net, serving(net, tmp_path, settings) as running:
        net.forward(tcp=[port_of(running), PORT], udp=[PORT])
        net.drop_udp()
        with watching(net, running, OUTSIDE) as page:
            found = plays(page)
        row("UDP dropped, media over TCP", found)
        assert (found["address"], found["port"], found["protocol"]) == (OUTSIDE, PORT, "tcp")
        assert net.dropped_udp() > 0
        gone(net, running)
        with net.server.entered():
            eventually(lambda: not _established(running, PORT), "the connection is closed", 5)


def _established(running: Daemon, port: int) -> int:
    """TCP connections of the daemon's network on that port of ours."""
    table = Path(f"/proc/{running.process.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01" for line in table)


def test_a_session_that_no_datagram_reaches_is_cleared_away(tmp_path: Path) -> None:
    with lab() as net, serving(net, tmp_path, f'udp_ports = "{PORT}"\ntcp_port = {PORT}') as running:
        net.drop_udp()
        before = _descriptors(running)
        with net.viewer.entered():
            for _ in range(3):
                request = urllib.request.Request(
                    f"http://{SERVER}:{port_of(running)}/whep/hall",
                    offer().encode(),
                    {"Content-Type": "application/sdp"},
                )
                with urllib.request.urlopen(request, timeout=10) as answer:
                    assert answer.status == 201
        eventually(lambda: running.log.read_text().count("handshake timed out") == 3, "all three are given up", 15)
        eventually(lambda: _descriptors(running) <= before, "nothing is left open", 5)


def _descriptors(running: Daemon) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


@contextlib.contextmanager
def turn_server(net: Lab, folder: Path) -> Iterator[None]:
    """coturn on the router: the server reaches it from inside, and it relays on the outside address."""
    need_tool("turnserver")
    options = {
        "listening-ip": INSIDE,
        "listening-port": "3478",
        "relay-ip": OUTSIDE,
        "min-port": "50000",
        "max-port": "50100",
        "user": "wall:secret",
        "realm": "example.org",
        "log-file": "stdout",
        "pidfile": str(folder / "turn.pid"),
        "userdb": str(folder / "turn.db"),
    }
    flags = ["-n", "--lt-cred-mech", "--no-tls", "--no-dtls", "--no-cli", "--simple-log"]
    log = folder / "turn.log"
    with net.router.entered(), log.open("wb") as sink:
        process = subprocess.Popen(
            ["turnserver", *flags, *(f"--{name}={value}" for name, value in options.items())], stdout=sink, stderr=sink
        )
    try:
        eventually(lambda: ":0D96 " in net.router.run("cat", "/proc/net/udp"), "coturn listens", 10)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_server_that_only_a_turn_server_reaches_is_seen(transport: str, tmp_path: Path) -> None:
    settings = f"""\
ice_servers = [{{ urls = ["turn:{INSIDE}:3478?transport={transport}"], username = "wall", credential = "secret" }}]
"""
    with lab() as net, turn_server(net, tmp_path), serving(net, tmp_path, settings) as running:
        # The viewer's page comes through; no datagram passes between the two, except over the TURN server.
        net.drop_udp()
        with watching(net, running, SERVER) as page:
            found = plays(page)
        row(f"only through TURN over {transport}", found)
        assert (found["kind"], found["address"]) == ("relay", OUTSIDE)
        assert 50000 <= found["port"] <= 50100
        gone(net, running)


@contextlib.contextmanager
def overheard(space: Namespace) -> Iterator[set[str]]:
    """The remote IP addresses with which a namespace speaks, except the kernel's own neighbour discovery."""
    heard: set[str] = set()
    stop = threading.Event()
    with space.entered():
        everything = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
    everything.bind(("eth0", 0))
    everything.settimeout(0.2)

    def listen() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                packet = everything.recv(2048)
                if packet[0] >> 4 == 4:
                    heard.update(socket.inet_ntop(socket.AF_INET, packet[at : at + 4]) for at in (12, 16))
                elif packet[0] >> 4 == 6 and packet[6] not in (0, 58):  # neither hop-by-hop options nor ICMPv6
                    heard.update(socket.inet_ntop(socket.AF_INET6, packet[at : at + 16]) for at in (8, 24))

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield heard
        time.sleep(0.3)
    finally:
        stop.set()
        thread.join()
        everything.close()


def test_without_settings_nobody_but_the_viewer_is_spoken_to(tmp_path: Path) -> None:
    with lab() as net, overheard(net.server) as heard, serving(net, tmp_path, "") as running:
        net.server.run("ip", "tuntap", "add", "dev", "docker0", "mode", "tun")
        net.server.run("ip", "address", "add", "172.17.0.1/16", "dev", "docker0")
        net.server.run("ip", "link", "set", "docker0", "up")
        with watching(net, running, SERVER) as page:
            found = plays(page)
            answer = page.evaluate("() => window.connections.at(-1).remoteDescription.sdp")
        row("plain, no settings", found)
        gone(net, running)
        offered = {line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate:")}
        assert {address for address in offered if "." in address} == {SERVER}
        assert heard == {SERVER, VIEWER}


BAD = {"loss": 0.05, "delay": 0.05, "jitter": 0.05}
"""5 % of all packets lost in each direction; 50 ms ± 50 ms later, so that many overtake others."""


@pytest.mark.parametrize("line", ["good", "bad"])
def test_video_goes_on_over_a_line_that_loses_and_delays(line: str, tmp_path: Path) -> None:
    # Looking for large faces alone costs little, so that the line decides and not the processor.
    camera = (
        '[detector]\nmin_size = 80\n[encode]\nbitrate = "2M"\n[cameras.hall]\nsource = "demo:?size=640x360&fps=25"\n'
    )
    with (
        lab() as net,
        serving(net, tmp_path, f'udp_ports = "{PORT}"', camera) as running,
        net.impaired(**BAD) if line == "bad" else contextlib.nullcontext(),
        watching(net, running, SERVER) as page,
    ):
        before, sent = plays(page), _published(net, running)
        began = time.monotonic()
        time.sleep(10)
        after, published = report(page), _published(net, running) - sent
        seconds = time.monotonic() - began
        assert after is not None
        counted = {key for key, value in before.items() if isinstance(value, (int, float))} - {"port", "connections"}
        change = after | {key: after[key] - before[key] for key in counted}
        row(f"360p, {line} line, {seconds:.1f} s", change, seconds)
        rate, jitter = change["bytesReceived"] * 8 / seconds / 1000, after["jitter"] * 1000
        print(f"{'':34} published {published / seconds:.1f}/s, {rate:.0f} kbit/s, jitter {jitter:.0f} ms")
        # One and the same connection, and nearly every picture.
        assert after["connections"] == before["connections"]
        assert published > 5 * seconds
        assert change["framesDecoded"] >= (0.95 if line == "good" else 0.8) * published - 5
        if line == "bad":
            assert change["packetsLost"] + (change["retransmittedPacketsReceived"] or 0) > 0


def _published(net: Lab, running: Daemon) -> float:
    with net.server.entered():
        return running.published("hall")
