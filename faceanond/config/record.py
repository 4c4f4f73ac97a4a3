"""[record]: what is kept of the anonymised streams, in each camera's table and for the whole process."""

from __future__ import annotations

from pydantic import Field

from faceanond.config.table import Table
from faceanond.config.types import Duration, Folder, Interval, Size


class RecordOptions(Table):
    """What one camera may choose about its recording."""

    enabled: bool = Field(default=False, description="whether the anonymised stream is kept on disk")
    segment: Duration = Field(
        default=300.0,
        ge=10,
        le=3600,
        description="how long one file is; it ends at the first keyframe after that",
    )
    keep: Interval = Field(
        default=259_200.0,
        le=315_360_000,
        description="how long a recording is kept, from its beginning; 0s until its space is needed",
    )


class Record(RecordOptions):
    """[record]: the options above are the fleet's defaults, the rest is for the whole process."""

    directory: Folder = Field(
        default="/var/lib/faceanond/recordings",
        description="where recordings are; made when only its last folder is missing",
    )
    max_size: Size = Field(
        default=20_000_000_000,
        ge=1_000_000,
        description="what all recordings together may take; the oldest of all cameras go first",
    )
    min_free: Size = Field(
        default=1_000_000_000,
        ge=0,
        description="what is left free on that disk; recordings go, and nothing is written, before it is touched",
    )


DISK_KEYS = tuple(key for key in Record.model_fields if key not in RecordOptions.model_fields)
"""Keys of [record] that cannot differ from camera to camera: all share one disk."""
