"""How many labelled faces leak, how much else is hidden and what it costs: one row a clip, over folders of clips.

    python -m benchmarks.leaks [--set KEY=VALUE ...] [--json OUT] [--only TEXT] CLIPDIR LABELDIR [CLIPDIR LABELDIR ...]
                               [--without-faces CLIP ...]

A label file of CLIP.mp4 is CLIP.mp4.json or CLIP.json. A clip without one is left out, unless it is named after
`--without-faces`: then it shows nobody, and all that is hidden in it is too much. The suffix of a hard version
(CLIP.dark.mp4, see shared/tools/degrade.py) names its kind. `leaked` and `longest` are of clear faces whose shorter
side is 20 pixels or more; `masked` is the masked area in areas of the labelled faces, `over` the part of it outside all
faces and their margins, `picture` the masked share of the pictures. `concealed` counts the pictures hidden as a whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from faceanond.clock import SystemClock
from faceanond.config.load import load, parse
from faceanond.config.model import Config
from faceanond.daemon.detector import opened_detector
from faceanond.daemon.evaluate_job import evaluate_clip, survey
from faceanond.daemon.file_job import PATIENCE
from faceanond.daemon.run import prepare_process
from faceanond.evaluate.tally import seen_clearly
from faceanond.evaluate.truth import Truth, read_truth
from faceanond.inference.batcher import Batcher

KINDS = ("dark", "fade", "shake", "tilt", "bars", "flash", "slow", "mush")
HEADING = (
    f"{'clip':52} {'faces':>6} {'leaked':>6} {'%':>6} {'longest':>7} {'masked':>7} {'over':>6} {'picture %':>9} "
    f"{'concealed':>9} {'CPU ms':>7}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One row, or the sum of several. Areas in pixels; `picture` is the masked share, `cpu_ms` one frame's."""

    name: str
    group: str
    frames: int
    faces: int
    leaked: int
    longest: int
    masked: float
    over: float
    face_area: float
    picture: float
    concealed: int
    cpu_ms: float

    def __str__(self) -> str:
        areas = [f"{area / self.face_area:.2f}" if self.face_area else "-" for area in (self.masked, self.over)]
        share = f"{100 * self.leaked / self.faces:.1f}" if self.faces else "-"
        return (
            f"{self.name:52} {self.faces:6} {self.leaked:6} {share:>6} {self.longest:7} {areas[0]:>7} {areas[1]:>6} "
            f"{100 * self.picture:9.2f} {self.concealed:9} {self.cpu_ms:7.2f}"
        )


def summed(name: str, lines: Sequence[Line]) -> Line:
    """All faces together, all frames together."""
    frames = sum(line.frames for line in lines)
    return Line(
        name=name,
        group="",
        frames=frames,
        faces=sum(line.faces for line in lines),
        leaked=sum(line.leaked for line in lines),
        longest=max(line.longest for line in lines),
        masked=math.fsum(line.masked for line in lines),
        over=math.fsum(line.over for line in lines),
        face_area=math.fsum(line.face_area for line in lines),
        picture=math.fsum(line.picture * line.frames for line in lines) / frames,
        concealed=sum(line.concealed for line in lines),
        cpu_ms=math.fsum(line.cpu_ms * line.frames for line in lines) / frames,
    )


def labelled(folders: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Every clip of the pairs of folders that has labels, with them."""
    for clips, labels in zip(folders[::2], folders[1::2], strict=True):
        for clip in sorted(clips.iterdir()):
            for truth in (labels / f"{clip.name}.json", labels / f"{clip.stem}.json"):
                if clip.suffix != ".json" and truth.is_file():
                    yield clip, truth
                    break


async def measured(clips: Iterable[tuple[Path, Path | None]], config: Config) -> list[Line]:
    """One detector for all clips; each line is printed when it is known."""
    clock, lines = SystemClock(), []
    async with opened_detector(config.detector) as detector, asyncio.TaskGroup() as tasks:
        batcher = Batcher(detector, max_batch=config.detector.max_batch, timeout=PATIENCE, clock=clock)
        inference = tasks.create_task(batcher.run(), name="inference")
        for clip, labels in clips:
            looked = survey(clip, config, clock=clock)
            truth = Truth(looked.facts.frames, ()) if labels is None else read_truth(labels, looked.facts)
            done = await evaluate_clip(clip, truth, looked, config, batcher, clock=clock)
            tally, row = done.tally, done.tally.row(seen_clearly)
            kind = clip.stem.rpartition(".")[2]
            lines.append(
                Line(
                    name=clip.name,
                    group="without faces" if labels is None else kind if kind in KINDS else "as they are",
                    frames=tally.frames,
                    faces=row.face_frames,
                    leaked=row.leaked,
                    longest=row.longest,
                    masked=tally.masked,
                    over=tally.over,
                    face_area=tally.face_area,
                    picture=tally.picture_share,
                    concealed=tally.concealed,
                    cpu_ms=done.cpu_ms,
                )
            )
            print(lines[-1], flush=True)
        inference.cancel()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks", description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="CLIPDIR LABELDIR")
    parser.add_argument("--without-faces", nargs="+", type=Path, default=[], metavar="CLIP")
    parser.add_argument("--only", default="", metavar="TEXT", help="only clips with this in their names")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    arguments = parser.parse_args()
    if len(arguments.folders) % 2:
        parser.error("each folder of clips needs one of labels")
    if arguments.config is not None:
        config = load(arguments.config, arguments.overrides)
    else:
        config = parse("", "defaults", arguments.overrides)
    clips: list[tuple[Path, Path | None]] = [*labelled(arguments.folders)]
    clips += [(clip, None) for clip in arguments.without_faces]
    prepare_process()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(HEADING)
    lines = asyncio.run(measured([pair for pair in clips if arguments.only in pair[0].name], config))
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.group].append(line)
        if line.group in KINDS:
            groups["all hard versions"].append(line)
    print(f"\n{HEADING}")
    sums = [summed(name, members) for name, members in groups.items()]
    for line in sums:
        print(line)
    if arguments.json is not None:
        content = {key: [_as_json(line) for line in of] for key, of in (("clips", lines), ("groups", sums))}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _as_json(line: Line) -> dict[str, object]:
    return {name: getattr(line, name) for name in Line.__slots__}


if __name__ == "__main__":
    main()
