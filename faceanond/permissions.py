"""Which files every user of this machine can read: private keys and passwords should not be among them. Blocks.

Only the rights of "others" are judged. That a group may read is how a service with a user of its own gets a key
(root:ssl-cert, mode 0640), and with an access control list the group's bits are no more than the list's upper limit.
"""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

CONTAINER_SECRETS = Path("/run/secrets")
"""Where engines of containers mount secrets, with mode 0444: no other user's process sees that folder."""


def mode_for_all(path: Path) -> int | None:
    """The mode of a file that every user can read; None for any other, and for what is no file or cannot be looked at.

    A file is out of reach in a folder that others cannot enter: /etc/letsencrypt/archive is one.
    """
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
        if not (stat.S_ISREG(mode) and mode & stat.S_IROTH) or CONTAINER_SECRETS in real.parents:
            return None
        within_reach = all(folder.stat().st_mode & stat.S_IXOTH for folder in real.parents)
    except (OSError, RuntimeError, ValueError):
        return None
    return stat.S_IMODE(mode) if within_reach else None


def complaint(path: Path, what: str) -> str | None:
    """That every user of this machine can read `what`, a file at `path`, and the command that ends it."""
    mode = mode_for_all(path)
    if mode is None:
        return None
    command = f"chmod o= {shlex.quote(str(path))}"
    return f'every user of this machine can read {what} {path} (mode {mode:04o}); run "{command}"'
