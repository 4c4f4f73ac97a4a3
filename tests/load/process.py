"""What the kernel says about a process: CPU time, memory, descriptors."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """Reads /proc; works while the process lives."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)

    def cpu(self) -> float:
        """Seconds of CPU so far, user and system, all threads."""
        # The name in parentheses may hold blanks; the fields after it are fixed.
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Resident bytes."""
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def descriptors(self) -> int:
        """Open files and sockets."""
        return len(list((self._folder / "fd").iterdir()))
