"""Compiles the detector's kernels while the package is built. Without a C compiler the package is built without them:
the networks then run on ONNX Runtime alone, several times slower, with the same answers but for rounding."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("faceanond/detect/native/kernels.c")
TARGET = Path("faceanond/detect/native/_kernels.so")
FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden"),
    *("-fstack-protector-strong", "-Wl,-z,relro,-z,now"),
)
MACHINES = ("x86_64", "amd64")
"""Those that the kernels are written for."""


class KernelsHook(BuildHookInterface[Any]):
    """Called by hatchling for every wheel, the editable one too."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if (
            self.target_name != "wheel"
            or not sys.platform.startswith("linux")
            or platform.machine().lower() not in MACHINES
        ):
            return
        root = Path(self.root)
        compiler = shlex.split(os.environ.get("CC", "")) or [shutil.which("gcc") or shutil.which("clang") or "cc"]
        # An editable installation reads the source tree, so the library must lie in it.
        folder = root / TARGET.parent if version == "editable" else Path(tempfile.mkdtemp(prefix="faceanond-kernels-"))
        library = folder / TARGET.name
        try:
            subprocess.run([*compiler, *FLAGS, "-o", str(library), str(root / SOURCE)], check=True)  # noqa: S603
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"the detector's kernels were not compiled ({error}); it will run without them")
            return
        if version != "editable":
            build_data["force_include"][str(library)] = str(TARGET)
        build_data["pure_python"] = False
        # The library knows nothing of Python, so one wheel serves every version of it.
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
