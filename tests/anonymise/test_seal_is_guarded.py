"""Walks the source tree: no module outside `anonymise/` may reach for the seal, and no way out may know raw frames."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import faceanond

ROOT = Path(faceanond.__file__).parent
SECRETS = {"_SEAL", "_Proof", "_proof"}
"""What only `anonymise/` may name."""
MAKERS = {"Planes", "RawFrame", "_SEAL"}
"""What a way out of the process has no business with."""


def names(tree: ast.AST) -> Iterator[str]:
    """Every name that the code uses, also as an attribute, in an import or as a whole string (getattr, a quoted
    annotation). Prose in docstrings and comments is free."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield from node.name.split(".")
            yield node.asname or node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def offences(source: str, module: str) -> set[str]:
    """What a module (its path within the package, such as "publish/rtp.py") does that it may not do."""
    tree = ast.parse(source)
    used = set(names(tree))
    if module.startswith("anonymise/"):
        return set()
    found = {f"names {secret}" for secret in SECRETS & used}
    if module.startswith(("publish/", "web/")):
        found |= {f"names {maker}" for maker in MAKERS & used}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            callee = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if callee == "AnonymisedFrame":
                found.add("constructs AnonymisedFrame")
            if callee == "__new__" and any("AnonymisedFrame" in names(argument) for argument in node.args):
                found.add("constructs AnonymisedFrame")
        if isinstance(node, ast.ClassDef) and any("AnonymisedFrame" in names(base) for base in node.bases):
            found.add("derives from AnonymisedFrame")
        if isinstance(node, ast.alias) and node.name == "AnonymisedFrame" and node.asname not in {None, node.name}:
            found.add("renames AnonymisedFrame")
        if isinstance(node, ast.alias) and node.name == "*":
            found.add("imports everything")
    return found


MODULES = sorted(ROOT.rglob("*.py"))


def test_there_are_modules_to_look_at() -> None:
    assert any(path.relative_to(ROOT).as_posix() == "anonymise/anonymiser.py" for path in MODULES)
    assert any(path.relative_to(ROOT).parts[0] == "publish" for path in MODULES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_goes_behind_the_seal(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) == set()


@pytest.mark.parametrize(
    ("source", "module", "offence"),
    [
        ("from faceanond.anonymise.frame import _SEAL", "pipeline/camera.py", "names _SEAL"),
        ("import faceanond.anonymise.frame as f\nx = f._SEAL", "web/app.py", "names _SEAL"),
        ("x = getattr(frame, '_SEAL')", "daemon/app.py", "names _SEAL"),
        ("x = frame._proof", "publish/record.py", "names _proof"),
        ("x = AnonymisedFrame(camera='a')", "pipeline/camera.py", "constructs AnonymisedFrame"),
        ("x = frame.AnonymisedFrame()", "pipeline/camera.py", "constructs AnonymisedFrame"),
        ("x = object.__new__(AnonymisedFrame)", "cli.py", "constructs AnonymisedFrame"),
        ("class Mine(AnonymisedFrame): pass", "cli.py", "derives from AnonymisedFrame"),
        ("from a import AnonymisedFrame as Any", "cli.py", "renames AnonymisedFrame"),
        ("from faceanond.anonymise.frame import *", "cli.py", "imports everything"),
        ("from faceanond.frames import RawFrame", "publish/encoder.py", "names RawFrame"),
        ("def f(x: 'RawFrame') -> None: ...", "web/app.py", "names RawFrame"),
        ("import faceanond.frames\nx = faceanond.frames.RawFrame", "publish/rtsp/server.py", "names RawFrame"),
    ],
)
def test_the_walk_sees_each_way_around(source: str, module: str, offence: str) -> None:
    assert offence in offences(source, module)


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ('"""Takes an AnonymisedFrame, never a RawFrame; _SEAL is not ours."""', "publish/encoder.py"),
        ("from faceanond.anonymise.frame import AnonymisedFrame\ndef f(x: AnonymisedFrame) -> None: ...", "web/a.py"),
        ("from faceanond.frames import RawFrame", "pipeline/camera.py"),
        ("x = _SEAL", "anonymise/anonymiser.py"),
    ],
)
def test_the_walk_leaves_honest_code_alone(source: str, module: str) -> None:
    assert offences(source, module) == set()
