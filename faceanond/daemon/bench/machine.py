"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
STAT = Path("/proc/stat")


@dataclass(frozen=True, slots=True)
class Machine:
    """`cores` are those that this process may use; a container's limit may leave a fraction of one. `online`: all."""

    cpu: str
    cores: float
    online: int


def this_machine() -> Machine:
    """Reads /proc and the control group; what is not there is taken as unlimited."""
    online = os.cpu_count() or 1
    cores = float(len(os.sched_getaffinity(0)))
    quotas = [quota for text in _limits(_read(Path("/proc/self/cgroup"))) if (quota := cpu_quota(text)) is not None]
    return Machine(cpu_model(_read(Path("/proc/cpuinfo"))), min(cores, *quotas) if quotas else cores, online)


class Others:
    """How much of this process's cores other programs take, from its making on."""

    def __init__(self) -> None:
        self._cores = os.sched_getaffinity(0)
        self._began = time.perf_counter()
        self._busy, self._own = busy_seconds(_read(STAT), self._cores), time.process_time()

    def share(self) -> float:
        """0 to 1; 0 where the system does not tell."""
        own, passed = time.process_time() - self._own, time.perf_counter() - self._began
        busy = busy_seconds(_read(STAT), self._cores)
        if busy is None or self._busy is None:
            return 0.0
        return min(1.0, max(0.0, (busy - self._busy - own) / (passed * len(self._cores))))


def busy_seconds(stat: str, cores: Collection[int]) -> float | None:
    """Seconds since the start in which these cores were not idle, or were taken by another virtual machine, from
    /proc/stat; None when it does not list them all."""
    ticks = 0
    for core in cores:
        match = re.search(rf"^cpu{core} (\d+) (\d+) (\d+) \d+ \d+ (\d+) (\d+) (\d+)", stat, re.MULTILINE)
        if match is None:
            return None
        ticks += sum(map(int, match.groups()))
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_model(cpuinfo: str) -> str:
    """The processor's name from /proc/cpuinfo, which only x86 writes there; else the architecture's."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(match[1].split()) if match else platform.machine()


def cpu_quota(cpu_max: str) -> float | None:
    """Cores by a control group's `cpu.max`, "MAX PERIOD" in microseconds; None for "max" and for what is neither."""
    match = re.fullmatch(r"(\d+) ([1-9]\d*)\s*", cpu_max)
    return int(match[1]) / int(match[2]) if match and int(match[1]) else None


def own_groups(cgroup: str) -> list[PurePosixPath]:
    """This process's control group and those around it, from /proc/self/cgroup (version 2 only), inmost first."""
    match = re.search(r"^0::(/.*)$", cgroup, re.MULTILINE)
    if match is None:
        return []
    own = PurePosixPath(match[1])
    return [own, *own.parents]


def _limits(cgroup: str) -> Iterator[str]:
    for group in own_groups(cgroup):
        yield _read(CGROUPS / group.relative_to("/") / "cpu.max")


def _read(path: Path) -> str:
    """The file's text; nothing when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
