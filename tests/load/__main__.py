"""`python -m tests.load`: every figure, or `--only PART`; ends by itself within eight minutes."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.load import churn, cost, gone, joining, latency
from tests.load.figures import Figure, table

LONGEST = 480.0
"""Seconds for everything."""
PARTS = {
    "cost": cost.measure,
    "churn": churn.measure,
    "joining": joining.measure,
    "latency": latency.measure,
    "gone": gone.measure,
}


async def run(chosen: list[str], profile: Path | None) -> tuple[list[Figure], list[str]]:
    """The figures, and the parts that broke down; one that does leaves the others theirs."""
    figures: list[Figure] = []
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="faceanond-load-") as folder:
        async with asyncio.timeout(LONGEST):
            for name in chosen:
                began = time.monotonic()
                try:
                    if name == "cost":
                        figures += await cost.measure(Path(folder), profile=profile)
                    else:
                        figures += await PARTS[name](Path(folder))
                except Exception:  # noqa: BLE001 (told, and the command fails)
                    traceback.print_exc()
                    broken.append(name)
                print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures, broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes the figures there, too")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="a profile of the daemon's loop with 50 viewers")
    arguments = parser.parse_args()
    logging.getLogger("aioice").setLevel(logging.WARNING)
    logging.getLogger("aiortc").setLevel(logging.WARNING)
    figures, broken = asyncio.run(run(arguments.only or list(PARTS), arguments.profile))
    machine = f"{platform.machine()}, {os.cpu_count()} threads, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f} at the end")
    print(table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps([figure.json() for figure in figures], indent=1) + "\n")
    for name in broken:
        print(f"{name}: broke down")
    return 0 if not broken and all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
