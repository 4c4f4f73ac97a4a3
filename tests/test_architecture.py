"""The rules of DESIGN that a reader cannot check by eye: who imports whom, and who may touch which library."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import faceanond

ROOT = Path(faceanond.__file__).parent

LAYERS = [
    {
        *("errors", "clock", "frames", "mailbox", "backoff", "attempt", "redact", "stats", "ratelimit", "buckets"),
        *("addresses", "annexb", "assets", "permissions"),
    },
    {"status", "tls", "sockets"},
    {"config"},
    {"access", "logins", "shares", "watching"},
    {"connections"},
    {"detect"},
    {"capture", "inference", "track", "anonymise", "publish"},
    {"pipeline", "observe", "web", "evaluate"},
    {"daemon"},
    {"cli"},
    {"__main__"},
]
"""From the bottom up. A module imports only from layers below its own, from its own package, or as listed next."""

SIBLINGS = {("publish", "anonymise")}
"""Publishing must know the one type that it accepts."""

ONLY = {
    "av": ("capture", "publish", "daemon/version"),
    "aiortc": ("publish/webrtc", "daemon/version"),
    "aioice": ("publish/webrtc",),
    "onnxruntime": ("detect/session",),
    "prometheus_client": ("observe/metrics",),
    "onnx": ("detect/graphs", "detect/onnx_file"),
    "joblib": ("detect/weights",),
    "cryptography": ("tls",),
    "ctypes": ("detect/native", "detect/pinned", "detect/session", "daemon/memory"),
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            names.add(str(node.module))
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def part(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def layer(name: str) -> int:
    for number, members in enumerate(LAYERS):
        if name in members:
            return number
    pytest.fail(f"faceanond/{name} has no place in the layers; give it one")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards_only(path: Path) -> None:
    own = part(path)
    if own == "__init__":
        assert not any(name.startswith("faceanond.") for name in imports(path))
        return
    for name in imports(path):
        if not name.startswith("faceanond."):
            continue
        other = name.split(".")[1]
        if other in {own, "__version__"} or (own, other) in SIBLINGS:
            continue
        assert layer(other) < layer(own), f"{own} imports {name}, which is not below it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_each_library_is_used_in_its_own_place_only(path: Path) -> None:
    here = path.relative_to(ROOT).with_suffix("").as_posix()
    for name in imports(path):
        for library, places in ONLY.items():
            if name == library or name.startswith(f"{library}."):
                assert here.startswith(places), f"{here} imports {library}; only {places} may"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_grows_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not source.strip() or ast.get_docstring(ast.parse(source)), f"{path} has no docstring"
