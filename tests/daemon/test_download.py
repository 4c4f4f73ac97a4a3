from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from faceanond.daemon import download as module
from faceanond.daemon.download import DownloadError, download
from faceanond.errors import ExitCode, FaceanondError, UnavailableError, UsageError
from tests.daemon.file_server import Answer, certified, content, redirect, serving

DATA = os.urandom(150_000)
HASH = hashlib.sha256(DATA).hexdigest()


def fetch(url: str, target: Path) -> None:
    download(url, target, size=len(DATA), sha256=HASH)


def refused(url: str, target: Path) -> FaceanondError:
    """The error of a fetch that must fail, after which there is nothing, not even a half file."""
    with pytest.raises(FaceanondError) as caught:
        fetch(url, target)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert not target.parent.is_dir() or list(target.parent.iterdir()) == []
    return caught.value


def refused_of(answer: Answer, folder: Path) -> str:
    with serving({"/file": answer}) as server:
        error = refused(f"{server}/file", folder / "to" / "file")
    assert error.exit_code == ExitCode.FAILED
    assert str(error).startswith(f"{server}/file ")
    return str(error).removeprefix(f"{server}/file ")


def test_a_file_comes_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls, trusted = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    told: list[int] = []
    target = tmp_path / "new" / "folder" / "file"
    with serving({"/file": content(DATA)}, tls) as server:
        download(f"{server}/file", target, size=len(DATA), sha256=HASH, progress=told.append)
    assert target.read_bytes() == DATA
    assert sum(told) == len(DATA)
    assert list(target.parent.iterdir()) == [target]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_server_that_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    tls, _ = certified(tmp_path)
    with serving({"/file": content(DATA)}, tls) as server:
        error = refused(f"{server}/file", tmp_path / "to" / "file")
    assert "cannot be reached: its certificate is not trusted (self" in str(error)


def test_a_redirect_to_https_is_followed_and_one_to_http_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with serving({"/file": content(DATA)}) as plain:
        answers = {"/file": content(DATA), "/away": redirect(f"{plain}/file"), "/moved": redirect("/file")}
        with serving(answers, tls) as server:
            fetch(f"{server}/moved", tmp_path / "file")
            error = refused(f"{server}/away", tmp_path / "to" / "file")
    assert str(error) == f"{server}/away leads to {plain}/file, which is not https://; not followed"
    assert (tmp_path / "file").read_bytes() == DATA


def test_this_very_machine_may_serve_without_tls_and_past_any_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving({"/file": content(DATA)}) as server:
        fetch(f"{server}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_file_url_reads_from_the_disk(tmp_path: Path) -> None:
    (tmp_path / "with space").write_bytes(DATA)
    fetch(f"file://{tmp_path}/with%20space", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA
    error = refused(f"file://{tmp_path}/gone", tmp_path / "to" / "file")
    assert isinstance(error, UnavailableError)
    assert str(error) == f"{tmp_path}/gone cannot be read: No such file or directory"
    assert "Is a directory" in str(refused(f"file://{tmp_path}", tmp_path / "to" / "file"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/x",
        "http://example.org/x",
        "http://127.0.0.1.example.org/x",
        "http://10.0.0.1/x",
        "file://host/x",
        "file:x",
        "https:///x",
        "https://x:0/",
        "https://x:99999/",
        "https://[x/",
        "https://x/a b",
        "https://x/a\nb",
        "https://x/é",
        "x",
        "",
    ],
)
def test_a_url_that_is_not_followed_is_refused_with_what_was_expected(url: str, tmp_path: Path) -> None:
    error = refused(url, tmp_path / "to" / "file")
    assert isinstance(error, UsageError)
    assert str(error).endswith("expected https://HOST/PATH, file:///PATH, or http:// on this very machine")


def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    error = refused("https://me:hunter2@example.org/x", tmp_path / "to" / "file")
    assert "user name or password" in str(error)
    assert "hunter2" not in str(error)


def test_a_token_in_the_url_is_not_repeated(tmp_path: Path) -> None:
    with serving({"/file?token=hunter2": content(b"x")}) as server:
        said = [str(refused(f"{server}/{name}?token=hunter2", tmp_path / "to" / "file")) for name in ("file", "gone")]
    assert all("token=***" in one and "hunter2" not in one for one in said)


def test_a_page_that_does_not_exist_is_told_with_another_way(tmp_path: Path) -> None:
    with serving({}) as server:
        error = refused(f"{server}/file", tmp_path / "to" / "file")
    assert str(error).startswith(f"{server}/file answers 404 Not Found; check the network, or bring the file here")


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with serving({}) as server:
        pass
    assert "cannot be reached: Connection refused" in str(refused(f"{server}/file", tmp_path / "to" / "file"))


def test_another_file_is_not_kept(tmp_path: Path) -> None:
    other = bytes(len(DATA))
    digest = hashlib.sha256(other).hexdigest()
    assert refused_of(content(other), tmp_path) == (
        f"holds another file: its SHA-256 is {digest}, expected {HASH}; nothing was kept"
    )


def test_no_more_is_read_than_the_file_has(tmp_path: Path) -> None:
    sent: list[int] = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:  # until the client hangs up
            handler.wfile.write(bytes(100_000))
            sent.append(100_000)

    assert refused_of(endless, tmp_path).startswith("holds another file: it has more than 150000 bytes")
    assert sum(sent) < 100_000_000


@pytest.mark.parametrize("declared", [None, len(DATA)])
def test_a_file_that_ends_early_is_not_kept(declared: int | None, tmp_path: Path) -> None:
    assert refused_of(content(DATA[:1000], declared=declared), tmp_path).startswith("ended after 1000 of 150000 bytes")


def test_a_server_that_falls_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.05)
    over = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        content(DATA[:1000], declared=len(DATA))(handler)
        over.wait(20)

    with serving({"/file": silent}) as server:
        error = refused(f"{server}/file", tmp_path / "to" / "file")
        over.set()
    assert str(error) == f"{server}/file broke off: no answer within 0.05 s; try again"


def test_a_server_that_drips_is_given_up_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    assert refused_of(content(DATA), tmp_path).startswith("is too slow: ")


def test_the_file_that_was_there_stays_when_the_new_one_is_wrong(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"older")
    with serving({"/file": content(b"wrong")}) as server, pytest.raises(DownloadError):
        fetch(f"{server}/file", target)
    assert target.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_that_was_there_is_replaced_by_the_right_one(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"older")
    with serving({"/file": content(DATA)}) as server:
        fetch(f"{server}/file", target)
    assert target.read_bytes() == DATA


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # where a file system that allocates late says so
    (tmp_path / "source").write_bytes(DATA)
    error = refused(f"file://{tmp_path}/source", tmp_path / "to" / "file")
    assert str(error) == f"{tmp_path}/to/file cannot be written: No space left on device; nothing was kept"


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "in the way").touch()
    (tmp_path / "source").write_bytes(DATA)
    with pytest.raises(UnavailableError, match="cannot be written: Not a directory; name a folder of yours in XDG_"):
        fetch(f"file://{tmp_path}/source", tmp_path / "in the way" / "sub" / "file")


def test_an_interrupted_fetch_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "source").write_bytes(DATA)
    target = tmp_path / "to" / "file"
    with pytest.raises(KeyboardInterrupt):
        download(f"file://{tmp_path}/source", target, size=len(DATA), sha256=HASH, progress=interrupt)
    assert list(target.parent.iterdir()) == []
