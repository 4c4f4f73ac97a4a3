"""Compiles the detector's kernels while the package is built. Without a C compiler the package is built without them:
then OpenCV draws the pictures, numpy suppresses boxes and ONNX Runtime runs all networks, slower and less exactly."""

from __future__ import annotations

import runpy
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("faceanond/detect/native")


class KernelsHook(BuildHookInterface[Any]):
    """Called by hatchling for every wheel, the editable one too."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        here = runpy.run_path(str(Path(self.root) / FOLDER / "build.py"))
        if not here["BUILDS_HERE"]:
            return
        library: Path = here["LIBRARY"]
        # An editable installation reads the source tree, so there the library must lie in it; a wheel's must not.
        target = library if version == "editable" else Path(tempfile.mkdtemp(prefix="kernels-")) / library.name
        try:
            here["build"](target)
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"the detector's kernels were not compiled ({error}); it will run without them")
            return
        if version != "editable":
            build_data["force_include"][str(target)] = str(FOLDER / library.name)
        build_data["pure_python"] = False
        # The library knows nothing of Python, so one wheel serves every version of it.
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
