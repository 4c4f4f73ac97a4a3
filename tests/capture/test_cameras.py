"""Whole attempts at real cameras, good and bad, through `capture`."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import itertools
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from faceanond.capture import options
from faceanond.capture.thread import abandoned
from faceanond.errors import SourceFault
from tests.capture.fake_rtsp import Behaviour, fake_camera
from tests.capture.harness import Outcome, attempt
from tests.capture.servers import PASSWORD, USER, gst_camera, http_camera

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]


def good(outcome: Outcome, count: int) -> None:
    assert outcome.error is None
    assert len(outcome.infos) == 1
    assert len(outcome.frames) == count
    assert {frame.suspect for frame in outcome.frames} == {None}
    assert {frame.size for frame in outcome.frames} == {(outcome.infos[0].width, outcome.infos[0].height)}
    no_threads_are_left()


def no_threads_are_left() -> None:
    assert abandoned() == 0
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("capture:")]


# -- RTSP


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_an_rtsp_camera_plays(transport: str) -> None:
    with gst_camera("--size", "322x240", "--audio") as (url, _):
        outcome = await attempt(url, transport=transport, enough=20)
    good(outcome, 20)
    assert outcome.infos[0].codec == "h264"
    assert outcome.infos[0].live
    assert outcome.frames[0].size == (322, 240)


async def test_key_pictures_that_come_in_pieces_are_put_together() -> None:
    with gst_camera("--sliced", "--gop", "10") as (url, _):
        outcome = await attempt(url, enough=60)
    suspects = [frame.suspect for frame in outcome.frames]
    assert set(suspects[30:]) == {None}
    times = [frame.pts for frame in outcome.frames[30:]]
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([0.04] * 29, abs=0.001)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_an_rtsp_camera_that_sends_mjpeg_plays(transport: str) -> None:
    with gst_camera("--codec", "mjpeg") as (url, _):
        outcome = await attempt(url, transport=transport, enough=10)
    good(outcome, 10)
    assert outcome.frames[0].full_range


@pytest.mark.parametrize("method", ["basic", "digest"])
async def test_credentials_open_a_protected_camera(method: str) -> None:
    with gst_camera("--auth", method) as (url, _):
        right = await attempt(url, username=USER, password=PASSWORD)
        wrong = await attempt(url, username=USER, password=PASSWORD + "x")
        none = await attempt(url)
    good(right, 5)
    for outcome in (wrong, none):
        assert outcome.error.fault is SourceFault.UNAUTHORISED
        assert "geheim" not in str(outcome.error)


async def test_a_path_that_is_not_there_is_not_found() -> None:
    with gst_camera() as (url, _):
        outcome = await attempt(url + "x")
    assert outcome.error.fault is SourceFault.NOT_FOUND


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_camera_that_dies_ends_the_attempt(transport: str) -> None:
    with gst_camera() as (url, process):

        async def kill() -> None:
            await asyncio.sleep(2)
            process.kill()

        async with asyncio.TaskGroup() as group:
            group.create_task(kill(), name="kill")
            outcome = await attempt(url, enough=10**6, timeout=3.0, transport=transport)
    assert len(outcome.frames) > 5
    assert outcome.error.fault in (SourceFault.ENDED, SourceFault.STALLED)
    no_threads_are_left()


async def test_lost_packets_make_pictures_suspect_until_the_next_key_picture() -> None:
    with gst_camera("--lose-every", "90", "--size", "640x480", "--gop", "25") as (url, _):
        outcome = await attempt(url, enough=100, transport="udp", timeout=10.0)
    suspects = [frame.suspect for frame in outcome.frames]
    assert suspects.count(None) > 5
    assert len(suspects) - suspects.count(None) > 5


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("behaviour", ["hang", "silent", "chatter"])
async def test_a_camera_that_hangs_is_given_up_in_time_and_leaves_no_thread(
    behaviour: Behaviour, transport: str
) -> None:
    with fake_camera(behaviour) as camera:
        async with asyncio.timeout(8):
            outcome = await attempt(f"rtsp://127.0.0.1:{camera.port}/cam", timeout=1.5, transport=transport)
    expected = SourceFault.UNREACHABLE if behaviour == "hang" else SourceFault.NO_FRAMES
    assert outcome.error.fault is expected
    assert outcome.infos == []
    no_threads_are_left()


@pytest.mark.parametrize("behaviour", ["hang", "silent", "chatter"])
async def test_a_hanging_camera_can_be_cancelled_at_once(behaviour: Behaviour) -> None:
    with fake_camera(behaviour) as camera, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.8):
            await attempt(f"rtsp://127.0.0.1:{camera.port}/cam", timeout=60.0)
    no_threads_are_left()


async def test_hanging_cameras_do_not_hold_up_a_good_one() -> None:
    with fake_camera("chatter") as one, fake_camera("hang") as other:
        async with asyncio.timeout(8), http_camera() as (url, _), asyncio.TaskGroup() as group:
            for camera in (one, other):
                url_of_it = f"rtsp://127.0.0.1:{camera.port}/cam"
                group.create_task(attempt(url_of_it, timeout=2.0, name=f"c{camera.port}"), name="hanging")
            good_one = group.create_task(attempt(f"{url}/mjpeg", enough=50, name="good"), name="good")
    assert len(good_one.result().frames) == 50
    assert good_one.result().error is None


async def test_noise_is_not_video() -> None:
    with fake_camera("garbage") as camera:
        outcome = await attempt(f"rtsp://127.0.0.1:{camera.port}/cam")
    assert outcome.error.fault is SourceFault.NOT_VIDEO


async def test_a_transport_that_the_camera_does_not_offer_is_named() -> None:
    with fake_camera("refuse") as camera:
        outcome = await attempt(f"rtsp://127.0.0.1:{camera.port}/cam")
    assert outcome.error.fault is SourceFault.NOT_FOUND
    assert "transport" in str(outcome.error)


async def test_a_redirect_to_another_place_is_refused() -> None:
    with gst_camera() as (url, _), fake_camera("redirect", int(url.split(":")[2].split("/")[0])) as camera:
        outcome = await attempt(f"rtsp://127.0.0.1:{camera.port}/cam", username="u", password="geheim")
    assert outcome.error.fault is SourceFault.UNREACHABLE
    assert "redirect" in str(outcome.error)
    assert outcome.frames == []


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
async def test_a_closed_port_is_unreachable(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = await attempt(f"{scheme}://127.0.0.1:{port}/cam", username="u", password="geheim")
    assert outcome.error.fault is SourceFault.UNREACHABLE
    assert "refused" in str(outcome.error)
    assert "geheim" not in str(outcome.error)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
async def test_an_unknown_host_is_unreachable(scheme: str) -> None:
    outcome = await attempt(f"{scheme}://camera.invalid/cam")
    assert outcome.error.fault is SourceFault.UNREACHABLE
    assert "camera.invalid" in str(outcome.error)


# -- HTTP


async def test_an_http_mjpeg_camera_plays_in_real_time() -> None:
    async with http_camera() as (url, _):
        outcome = await attempt(f"{url}/mjpeg", enough=30)
    good(outcome, 30)
    assert outcome.infos[0].codec == "mjpeg"
    assert outcome.frames[-1].pts == pytest.approx(outcome.frames[-1].captured - outcome.frames[0].captured, abs=0.2)


async def test_http_credentials_are_sent() -> None:
    async with http_camera() as (url, _):
        right = await attempt(f"{url}/private", username=USER, password=PASSWORD)
        wrong = await attempt(f"{url}/private", username=USER, password="nein")
    good(right, 5)
    assert wrong.error.fault is SourceFault.UNAUTHORISED


HTTP_FAULTS = {
    "/none": SourceFault.NOT_FOUND,
    "/text": SourceFault.NOT_VIDEO,
    "/playlist": SourceFault.NOT_VIDEO,
    "/moved": SourceFault.UNREACHABLE,
    "/silent": SourceFault.UNREACHABLE,
}


@pytest.mark.parametrize("path", HTTP_FAULTS)
async def test_http_faults_are_told_apart(path: str) -> None:
    async with http_camera() as (url, camera):
        outcome = await attempt(url + path, timeout=1.5)
    assert outcome.error.fault is HTTP_FAULTS[path]
    assert camera.connections == 0
    no_threads_are_left()


async def test_an_http_camera_that_stops_sending_has_stalled() -> None:
    async with http_camera() as (url, _):
        outcome = await attempt(f"{url}/mjpeg?count=8&then=hang", enough=100, timeout=1.0)
    assert outcome.error.fault is SourceFault.STALLED
    assert len(outcome.frames) in (7, 8)
    no_threads_are_left()


async def test_an_http_camera_that_closes_has_ended() -> None:
    async with http_camera() as (url, _):
        outcome = await attempt(f"{url}/mjpeg?count=8", enough=100)
    assert outcome.error.fault is SourceFault.ENDED


async def test_a_new_size_ends_the_attempt() -> None:
    async with http_camera() as (url, _):
        outcome = await attempt(f"{url}/mjpeg?count=8&then=resize", enough=100)
    assert outcome.error.fault is SourceFault.ENDED
    assert "320x240 to 160x120" in str(outcome.error)
    assert {frame.size for frame in outcome.frames} == {(320, 240)}


async def test_damaged_pictures_do_not_end_a_live_camera() -> None:
    async with http_camera() as (url, _):
        outcome = await attempt(f"{url}/broken", enough=30)
    assert outcome.error is None
    # The damaged ones are not shown at all, and whole JPEG pictures owe them nothing.
    assert {frame.suspect for frame in outcome.frames} == {None}
    assert len({int(frame.y[200, 200]) for frame in outcome.frames}) == 1


# -- TLS


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of its own authority for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "public.pem", folder / "private.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    return public, context


async def test_a_certificate_that_nobody_trusts_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    async with http_camera(context) as (url, camera):
        refused = await attempt(f"{url}/mjpeg")
        assert camera.connections == 0
        accepted = await attempt(f"{url}/mjpeg", tls_verify=False)
    assert refused.error.fault is SourceFault.UNREACHABLE
    good(accepted, 5)


async def test_a_certificate_that_the_system_trusts_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, context = certificate(tmp_path)
    monkeypatch.setattr(options, "ca_file", lambda: str(public))
    async with http_camera(context) as (url, _):
        good(await attempt(f"{url}/mjpeg"), 5)
