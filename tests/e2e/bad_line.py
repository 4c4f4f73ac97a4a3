"""A line that loses, delays and reorders packets: reads IP packets from a TUN device and writes them back, later.

Run as `python -m tests.e2e.bad_line DEVICE --loss 0.05 --delay 0.05 --jitter 0.05` inside a network namespace whose
routes lead traffic into the device; for kernels without netem. Says "open" when it holds the device.
"""

from __future__ import annotations

import argparse
import fcntl
import heapq
import os
import random
import select
import struct
import time

_SET_DEVICE = 0x400454CA
"""TUNSETIFF of <linux/if_tun.h>."""
_TUN, _NO_HEADER = 0x0001, 0x1000
LARGEST = 65536
"""Bytes of a packet."""
MOST_WAITING = 2000
"""Packets on the line; as in netem, a full line loses what comes."""


def attach(device: str) -> int:
    """The file descriptor of an existing TUN device."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _SET_DEVICE, struct.pack("16sH", device.encode(), _TUN | _NO_HEADER))
    return descriptor


def carry(descriptor: int, dice: random.Random, *, loss: float, delay: float, jitter: float) -> None:
    """Carries packets until the process is ended."""
    waiting: list[tuple[float, int, bytes]] = []
    number = 0
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([descriptor], [], [], timeout)
        now = time.monotonic()
        if readable:
            packet = os.read(descriptor, LARGEST)
            if dice.random() >= loss and len(waiting) < MOST_WAITING:
                number += 1
                heapq.heappush(waiting, (now + max(0.0, dice.uniform(delay - jitter, delay + jitter)), number, packet))
        while waiting and waiting[0][0] <= now:
            os.write(descriptor, heapq.heappop(waiting)[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device")
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=20261127)
    arguments = parser.parse_args()
    descriptor = attach(arguments.device)
    print("open", flush=True)
    carry(
        descriptor,
        random.Random(arguments.seed),
        loss=arguments.loss,
        delay=arguments.delay,
        jitter=arguments.jitter,
    )


if __name__ == "__main__":
    main()
