"""Compiles the C files beside it: called while the package is built, and after a change of one by running this file.

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

SOURCES = tuple(Path(__file__).parent / name for name in ("networks.c", "pictures.c", "suppression.c", "library.c"))
_HEADER = Path(__file__).parent / "kernels.h"
LIBRARY = Path(__file__).parent / "_kernels.so"
BUILDS_HERE = sys.platform == "linux" and platform.machine().lower() in {"x86_64", "amd64", "aarch64", "arm64"}
"""Whether the kernels are written for this kind of machine at all. Nothing here names a CPU: the C files do, function
by function, so that what is built on one machine runs on all of its kind."""
_FLAGS = (
    # Contracted into one instruction where there is one, a product and a sum would round otherwise there.
    *("-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-fvisibility=hidden"),
    *("-fstack-protector-strong", "-Wl,-z,relro,-z,now"),
)


def source_hash() -> str:
    """Names the sources: the library holds it, so that one that was built from others is not used."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in (_HEADER, *SOURCES))).hexdigest()[:16]


def build(library: Path, *more: str) -> None:
    """Compiles into `library`, with more compiler options if named. Raises OSError or CalledProcessError, without a
    compiler say. `CC` in the environment names another compiler."""
    compiler = shlex.split(os.environ.get("CC", "")) or [shutil.which("gcc") or shutil.which("clang") or "cc"]
    hashed = f'-DSOURCE_HASH="{source_hash()}"'
    command = [*compiler, *_FLAGS, hashed, *more, "-o", str(library), *map(str, SOURCES)]
    subprocess.run(command, check=True)  # noqa: S603


if __name__ == "__main__":
    build(LIBRARY)
