"""Compiles `kernels.c`: called while the package is built, and after a change of the source by running this file.

Uses the standard library alone, since nothing else is there yet when a package is built.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parent / "kernels.c"
LIBRARY = Path(__file__).parent / "_kernels.so"
BUILDS_HERE = sys.platform == "linux" and platform.machine().lower() in {"x86_64", "amd64"}
"""Whether the kernels are written for this kind of machine at all."""
_FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden"),
    *("-fstack-protector-strong", "-Wl,-z,relro,-z,now"),
)


def source_hash() -> str:
    """Names the source: the library holds it, so that one that was built from another source is not used."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]


def build(library: Path, *more: str) -> None:
    """Compiles into `library`, with more compiler options if named. Raises OSError or CalledProcessError, without a
    compiler say. `CC` in the environment names another compiler."""
    compiler = shlex.split(os.environ.get("CC", "")) or [shutil.which("gcc") or shutil.which("clang") or "cc"]
    hashed = f'-DSOURCE_HASH="{source_hash()}"'
    subprocess.run([*compiler, *_FLAGS, hashed, *more, "-o", str(library), str(SOURCE)], check=True)  # noqa: S603


if __name__ == "__main__":
    build(LIBRARY)
