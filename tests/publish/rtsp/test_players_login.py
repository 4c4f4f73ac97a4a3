"""Real players that have to log in: with digest, and inside TLS. What they say is printed (pytest -rP)."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from faceanond.config.model import Viewer
from tests import certificates
from tests.conftest import need_tool
from tests.gstreamer import went_well
from tests.publish.rtsp.studio import run, studio

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

VIEWERS = {"guard": Viewer(password=SecretStr("secret-1"))}
WAYS = ["tcp", "udp", "tls"]
GOOD, BAD = "secret-1", "secret-2"


@pytest.mark.parametrize("way", WAYS)
async def test_ffmpeg_logs_in(way: str, tmp_path: Path) -> None:
    tool, files = need_tool("ffmpeg"), certificates.make(tmp_path)
    async with studio(VIEWERS, files) as camera:
        for password, status in ((GOOD, 0), (BAD, 1)):
            url = camera.logged_in("guard", password, secure=way == "tls")
            transport = [] if way == "tls" else ["-rtsp_transport", way]
            ended, _, errors = await run(
                tool, "-v", "info", "-nostats", *transport, "-i", url, "-frames:v", "30", "-f", "null", "-"
            )
            show(f"ffmpeg {way}", errors, "401|Stream #0|frame=")
            assert (ended != 0) == status, errors
            assert ("401 Unauthorized" in errors) == (password == BAD)


@pytest.mark.parametrize("way", WAYS)
async def test_ffprobe_logs_in(way: str, tmp_path: Path) -> None:
    tool, files = need_tool("ffprobe"), certificates.make(tmp_path)
    async with studio(VIEWERS, files) as camera:
        url = camera.logged_in("guard", GOOD, secure=way == "tls")
        transport = [] if way == "tls" else ["-rtsp_transport", way]
        status, output, errors = await run(tool, "-v", "error", *transport, "-of", "flat", "-show_streams", url)
    show(f"ffprobe {way}", output.decode(), "codec_name|profile|width")
    assert (status, errors) == (0, "")
    assert 'codec_name="h264"' in output.decode()


@pytest.mark.parametrize("way", WAYS)
async def test_gstreamer_logs_in(way: str, tmp_path: Path) -> None:
    tool, files = need_tool("gst-launch-1.0"), certificates.make(tmp_path)
    async with studio(VIEWERS, files) as camera:
        # Refused, it tries for seven seconds, so once is enough.
        for password in (GOOD, BAD) if way == "tcp" else (GOOD,):
            # Over RTSPS it asks for UDP first and is told 461; then it takes what there is.
            url = camera.secure_url if way == "tls" else camera.url
            how = ["tls-validation-flags=0"] if way == "tls" else [f"protocols={way}"]
            login = ["user-id=guard", f"user-pw={password}"]
            status, output, errors = await run(
                tool, "rtspsrc", f"location={url}", *how, *login, "!", "rtph264depay", "!", "h264parse", "!",
                "avdec_h264", "!", "identity", "eos-after=30", "!", "fakesink",
            )  # fmt: skip
            show(f"gst-launch-1.0 {way}", output.decode() + errors, "Got EOS|Progress: .*(request|[Oo]pen)|Unauthor")
            assert ("Got EOS" in output.decode()) == (password == GOOD), errors
            assert went_well(status, errors) == (password == GOOD), errors


@pytest.mark.parametrize("way", ["tcp", "udp"])
async def test_vlc_logs_in(way: str) -> None:
    """VLC refuses to run as root. Debian builds it without its RTSP module (live555), so that no package that .ci/run
    could install brings it, and this runs only where somebody has added it."""
    vlc, probe = shutil.which("cvlc"), need_tool("ffprobe")
    if vlc is None:
        pytest.skip("there is no VLC here")
    with nobodys_folder() as folder:
        as_nobody = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        start = [*as_nobody, "env", f"HOME={folder}", vlc]
        _, modules, _ = await run(*start, "-l")
        if b"live555" not in modules:
            pytest.skip("this VLC is built without its RTSP module; name one that has it with VLC_PLUGIN_PATH")
        async with studio(VIEWERS) as camera:
            for password in (GOOD, BAD):
                film = folder / f"{password}.ts"
                transport = ["--rtsp-tcp"] if way == "tcp" else []
                # Refused, it stays there with nothing to play.
                _, _, errors = await run(
                    "timeout", "8", *start, "-vvv", "--intf", "dummy", "--no-interact", "--no-audio", *transport,
                    "--run-time", "4",
                    "--sout", f"#std{{access=file,mux=ts,dst={film}}}",
                    camera.logged_in("guard", password), "vlc://quit",
                )  # fmt: skip
                show(f"cvlc {way}", errors, "^(Sending request|RTSP/1|Authorization|Transport)|live555.*(version|RTP)")
                assert ("Sending request: PLAY" in errors) == (password == GOOD)
                if password == BAD:
                    assert not film.exists() or not film.stat().st_size
                    continue
                status, output, _ = await run(
                    probe, "-v", "error", "-count_frames", "-of", "flat", "-show_entries", "stream=nb_read_frames",
                    str(film),
                )  # fmt: skip
                print(f"cvlc {way}: {output.decode().strip()}")
                frames = re.search(r'nb_read_frames="(\d+)"', output.decode())
                assert status == 0
                assert frames is not None
                assert int(frames[1]) >= 50


@contextmanager
def nobodys_folder() -> Iterator[Path]:
    """A folder into which any user may write; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="player-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def show(player: str, text: str, pattern: str) -> None:
    """Prints the lines that tell how it went."""
    for line in text.splitlines():
        if re.search(pattern, line):
            print(f"{player}: {line.strip()}")
