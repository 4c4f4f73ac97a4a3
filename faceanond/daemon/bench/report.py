"""The result as text of at most 80 columns, and as JSON. Pure. docs/reference/cli.md describes both."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from faceanond.daemon.bench.figures import DISTURBED, PLANNED, BatchCost, Capacity, Cost, Spread, Together
from faceanond.daemon.bench.machine import Machine
from faceanond.daemon.bench.plan import Plan

WIDTH = 80
LABEL = 12
"""Columns of what stands at the left."""
SHOWN_VERSIONS = ("faceanond", "python", "ffmpeg", "onnxruntime")
"""In the text; JSON has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that was measured and what follows from it. `faces` are in a picture, `found` by the detector.

    `others` is the share of the usable cores that other programs took meanwhile.
    """

    machine: Machine
    others: float
    detector: str
    provider: str
    versions: Mapping[str, str]
    plan: Plan
    settings: Mapping[str, Mapping[str, object]]
    faces: float
    found: float
    stages: Mapping[str, Cost]
    inside: Mapping[str, float]
    batches: Sequence[BatchCost]
    together: Together
    capacity: Capacity


def as_json(result: Result) -> dict[str, object]:
    """One object; times are milliseconds a frame."""
    plan, together, carried = result.plan, result.together, result.capacity
    return {
        "machine": {
            "cpu": result.machine.cpu,
            "cores": round(result.machine.cores, 2),
            "cores_online": result.machine.online,
            "others_share": round(result.others, 3),
            "detector": result.detector,
            "provider": result.provider,
            "versions": dict(result.versions),
        },
        "settings": {
            "size": [plan.width, plan.height],
            "fps": plan.fps,
            "seconds": plan.seconds,
            **{name: dict(table) for name, table in result.settings.items()},
        },
        "scene": {"faces": round(result.faces, 2), "faces_found": round(result.found, 2)},
        "stages": {
            name: {
                "frames": cost.frames,
                "cpu_ms": _rounded(asdict(cost.cpu)),
                "wall_ms": _rounded(asdict(cost.wall)),
                "share": round(share, 3),
            }
            for (name, cost), share in zip(result.stages.items(), shares(result.stages), strict=True)
        },
        "detector_stages": {name: {"wall_ms": round(mean, 3)} for name, mean in result.inside.items()},
        "batches": [
            {"frames": batch.frames, "cpu_ms": round(batch.cpu, 3), "wall_ms": round(batch.wall, 3)}
            for batch in result.batches
        ],
        "together": {
            "cameras": together.cameras,
            "seconds": round(together.seconds, 2),
            "fps_sent": round(together.sent / together.cameras, 2),
            "fps": round(together.came_out / together.cameras, 2),
            "kept_up": round(together.share, 3),
            "concealed": together.concealed,
            "batch": round(together.batch, 2),
            "cpu_ms": round(1000 * together.cpu_seconds / together.looked, 3) if together.looked else None,
            "overhead": None if carried.overhead is None else round(carried.overhead, 3),
        },
        "capacity": {
            "cameras": carried.cameras,
            "frames_per_second": round(carried.frames_per_second, 2),
            "planned_share": PLANNED,
            "limit": carried.limit,
            "limits": _rounded(carried.limits),
            "cpu_ms": round(carried.work, 3),
        },
    }


def as_text(result: Result) -> list[str]:
    """Lines for people."""
    return [
        *_heading(result),
        "",
        *_table(result),
        "",
        *_detector(result),
        "",
        *_capacity(result),
    ]


def shares(stages: Mapping[str, Cost]) -> list[float]:
    """Each stage's part of the processor time of a frame."""
    total = sum(cost.cpu.mean for cost in stages.values())
    return [cost.cpu.mean / total if total else 0.0 for cost in stages.values()]


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def _heading(result: Result) -> Iterator[str]:
    plan, machine = result.plan, result.machine
    yield f"faceanond bench: {plan.width}x{plan.height} at {plan.fps:g} fps"
    yield ""
    yield from _labelled("machine", f"{machine.cpu}, {round(machine.cores, 2):g} of {machine.online} cores usable")
    yield from _labelled("detector", f"{result.detector} on {result.provider}, {_busy(result.stages['detect'])}")
    yield from _labelled("versions", ", ".join(f"{name} {result.versions[name]}" for name in SHOWN_VERSIONS))
    yield from _labelled("scene", f"{result.faces:.1f} faces in a picture, {result.found:.1f} of them found")
    for name, table in result.settings.items():
        # An empty list says something (no legend), an empty text or table does not (no model file).
        set_here = {key: value for key, value in table.items() if value not in ("", {}, None)}
        yield from _labelled(f"[{name}]", " ".join(f"{key}={_value(value)}" for key, value in set_here.items()))


def _busy(detect: Cost) -> str:
    cores = detect.cpu.mean / detect.wall.mean if detect.wall.mean else 0.0
    return f"keeping {cores:.1f} cores busy"


def _value(value: object) -> str:
    """Without spaces, so that lines break between keys only."""
    if isinstance(value, list):
        return "[" + ",".join(map(_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}={_value(held)}" for key, held in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wrapped(text: str) -> list[str]:
    """Lines, none of which begins with a percent sign."""
    return [line.replace("\0", " ") for line in textwrap.wrap(text.replace(" %", "\0%"), WIDTH)]


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=label.ljust(LABEL),
        subsequent_indent=" " * LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(result: Result) -> Iterator[str]:
    yield (" " * LABEL + "CPU ms a frame".rjust(27) + "wall ms a frame".rjust(28)).rstrip()
    yield _row("stage", ["mean", "median", "p95", "mean", "median", "p95"], "share")
    for (name, cost), share in zip(result.stages.items(), shares(result.stages), strict=True):
        yield _row(name, _numbers(cost), f"{100 * share:.0f} %")
        if name == "detect":
            for step, mean in result.inside.items():
                if step != "total":
                    yield _row(f"  {step}", ["", "", "", f"{mean:.2f}", "", ""], "")
    total = sum(cost.cpu.mean for cost in result.stages.values())
    wall = sum(cost.wall.mean for cost in result.stages.values())
    yield _row("all", [f"{total:.2f}", "", "", f"{wall:.2f}", "", ""], "100 %")


def _numbers(cost: Cost) -> list[str]:
    return [f"{value:.2f}" for spread in (cost.cpu, cost.wall) for value in _values(spread)]


def _values(spread: Spread) -> tuple[float, float, float]:
    return spread.mean, spread.median, spread.p95


def _row(name: str, numbers: Sequence[str], share: str) -> str:
    cells = "".join(f"{number:>10}" if index == 3 else f"{number:>9}" for index, number in enumerate(numbers))
    return f"{name:<{LABEL}}{cells}{share:>9}".rstrip()


def _detector(result: Result) -> Iterator[str]:
    yield "The detector with several cameras' frames at once, ms a frame:"
    for batch in result.batches:
        yield f"  batches of {batch.frames:<4} CPU {batch.cpu:8.2f}   wall {batch.wall:8.2f}"


_LIMITS = {
    "processor": "the processor: {work:.1f} ms a frame on {cores}",
    "detector": "the detector, one batch at a time for all cameras",
    "together": "all together, where threads wait for each other",
}


def _capacity(result: Result) -> Iterator[str]:
    plan, carried = result.plan, result.capacity
    yield f"Frames a second of {plan.width}x{plan.height}, all cameras together, at most:"
    cores = _counted(result.machine.cores, "core")
    for name, limit in carried.limits.items():
        what = _LIMITS[name].format(cores=cores, work=carried.work)
        mark = "  <- the limit" if name == carried.limit else ""
        yield f"  {limit:7.1f}  {what}{mark}"
    yield from _checked(result)
    if result.others >= DISTURBED:
        yield from _wrapped(
            f"Other programs took {100 * result.others:.0f} % of the cores meanwhile, so these numbers are too bad. "
            "Measure again when the machine has nothing else to do."
        )
    yield ""
    yield from _wrapped(
        f"This machine carries {_counted(carried.cameras, 'camera')} of {plan.width}x{plan.height} at "
        f"{plan.fps:g} fps, with {100 * (1 - PLANNED):.0f} % in reserve "
        f"({carried.frames_per_second / plan.fps:.1f} with none)."
    )
    if not carried.cameras:
        yield f"One such camera may send {PLANNED * carried.frames_per_second:.1f} fps at most."
    yield "Viewers come on top: about 1 % of a core for each."


def _counted(number: float, thing: str) -> str:
    return f"{round(number, 2):g} {thing}" + ("" if number == 1 else "s")


def _checked(result: Result) -> list[str]:
    together, overhead = result.together, result.capacity.overhead
    which = _counted(together.cameras, "camera") + ("" if together.cameras == 1 else " together")
    text = (
        f"Checked with {which} that sent {together.sent:.1f} frames a second for {together.seconds:.0f} s: "
        f"{together.came_out:.1f} came out, in batches of {together.batch:.1f}"
    )
    if together.concealed:
        text += f", {together.concealed} frames concealed because the detector was late"
    if overhead is not None:
        more = 100 * (overhead - 1)
        text += f", for {abs(more):.0f} % {'more' if more >= 0 else 'less'} CPU than the stages alone take"
    return _wrapped(text + ".")
