"""What is known of GStreamer's programs as players."""

from __future__ import annotations

import re


def went_well(status: int, errors: str) -> bool:
    """Whether gst-launch-1.0, which ended with `status`, had nothing to say against what it was sent.

    When it ends on a busy machine, rtspsrc 1.22 over UDP now and then (1 in 50 to 1 in 10) cuts off its own PAUSE
    before sending it, reports "Received end-of-file", which makes the status 1, and goes on with a TEARDOWN on the same
    connection. It pauses only after the end of what it was asked to play, so that this says nothing about the server.
    """
    functions = re.findall(r"gstrtspsrc\.c\(\d+\): (\w+) \(\)", errors)
    hasty = set(functions) == {"gst_rtspsrc_try_send", "gst_rtspsrc_pause"} and len(functions) == errors.count("ERROR:")
    return status == 0 or hasty
