"""The command line. Parses, hands over, and turns every error into one clear line and an exit code.

The commands import what they need when they run: `faceanond check` must not wait for FFmpeg and ONNX Runtime to load.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceanond import __version__
from faceanond.errors import ExitCode, FaceanondError, MistakesError, UsageError

if TYPE_CHECKING:
    from faceanond.config.model import Config

DEFAULT_FILES = (Path("config.toml"), Path("/etc/faceanond/config.toml"))
"""Where `run` and `check` look when no file is named, in this order."""


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point; returns the exit code."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except MistakesError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        count = len(error.problems)
        print(f"faceanond: {count} mistake{'s' if count > 1 else ''} in {error.subject}", file=sys.stderr)
        return error.exit_code
    except FaceanondError as error:
        print(f"faceanond: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="faceanond", description="Anonymises the faces of many live cameras and republishes them."
    )
    parser.add_argument("--version", action="version", version=f"faceanond {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the daemon on the fleet of a configuration file")
    _config_options(run)
    run.set_defaults(command=_run)

    check = commands.add_parser("check", help="validate a configuration; prints every mistake with its line")
    _config_options(check)
    check.add_argument("--probe", action="store_true", help="open each camera and print codec, size and frame rate")
    check.set_defaults(command=_check)

    demo = commands.add_parser("demo", help="run the daemon on moving test cameras that show a real face")
    demo.add_argument("--cameras", type=_positive, default=2, metavar="N", help="how many (default 2)")
    demo.add_argument("--port", type=_port, default=8080, metavar="P", help="the page's port (default 8080)")
    demo.add_argument("--duration", type=_seconds, metavar="S", help="end after so many seconds")
    _set_option(demo)
    demo.set_defaults(command=_demo)

    anonymise = commands.add_parser("anonymise", help="anonymise a video file, every frame")
    anonymise.add_argument("input", type=Path, metavar="IN")
    anonymise.add_argument("output", type=Path, metavar="OUT", help="an .mp4, .mkv or .mov file; replaced if it exists")
    _config_options(anonymise)
    anonymise.add_argument("--report", type=Path, metavar="FILE.jsonl", help="write one line per frame")
    anonymise.add_argument("--keep-audio", action="store_true", help="copy the sound, too (voices identify people)")
    anonymise.set_defaults(command=_anonymise)

    evaluate = commands.add_parser("evaluate", help="judge the configured pipeline on a clip with labelled faces")
    evaluate.add_argument("clip", type=Path, metavar="CLIP")
    evaluate.add_argument("--truth", type=Path, required=True, metavar="FILE.json", help="the clip's labels")
    evaluate.add_argument("--json", type=Path, metavar="OUT.json", help="write the result as JSON, too")
    _config_options(evaluate)
    evaluate.set_defaults(command=_evaluate)

    fetch = commands.add_parser("fetch-model", help="download an optional detector's model file, checked by its hash")
    fetch.add_argument("detector", metavar="NAME", help="yunet or centerface")
    fetch.add_argument("--from", dest="url", metavar="URL", help="another place of the same file: https:// or file://")
    fetch.set_defaults(command=_fetch_model)

    bench = commands.add_parser("bench", help="measure each stage, and how many cameras this machine carries")
    bench.add_argument("--size", default="1280x720", metavar="WxH", help="the cameras' size (default 1280x720)")
    bench.add_argument("--fps", type=float, default=25.0, metavar="N", help="the cameras' rate (default 25)")
    bench.add_argument("--seconds", type=_seconds, default=10.0, metavar="S", help="how long to measure (default 10)")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    _config_options(bench)
    bench.set_defaults(command=_bench)

    version = commands.add_parser("version", help="print the versions of faceanond and of what it runs on")
    version.set_defaults(command=_version)
    return parser


def _config_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="the TOML file")
    _set_option(parser)


def _set_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a configuration key, such as anonymise.method=solid; may be repeated",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 64, not {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"expected seconds, such as 10, not {text!r}")
    return value


def _find_config(given: Path | None) -> Path:
    if given is not None:
        return given
    for path in DEFAULT_FILES:
        if path.is_file():
            return path
    raise UsageError(
        f"no configuration: neither {' nor '.join(map(str, DEFAULT_FILES))} exists; "
        'name one with "-c FILE", or try "faceanond demo"'
    )


def _config_or_defaults(arguments: argparse.Namespace) -> Config:
    """For commands that need no cameras: the file that was named, else the defaults."""
    from faceanond.config.load import load, parse

    if arguments.config is not None:
        return load(arguments.config, arguments.overrides)
    return parse("", "defaults", arguments.overrides)


def _run(arguments: argparse.Namespace) -> int:
    from faceanond.config.check import warnings
    from faceanond.config.load import load
    from faceanond.daemon.run import run_daemon

    path = _find_config(arguments.config)
    config = load(path, arguments.overrides)
    return run_daemon(config, warnings=[str(warning) for warning in warnings(config, path, arguments.overrides)])


def _demo(arguments: argparse.Namespace) -> int:
    from faceanond.daemon.demo import demo_config
    from faceanond.daemon.run import run_daemon

    config = demo_config(arguments.cameras, arguments.port, arguments.overrides)
    return run_daemon(config, duration=arguments.duration, announce=True)


def _check(arguments: argparse.Namespace) -> int:
    from faceanond.daemon.check import check

    return check(_find_config(arguments.config), arguments.overrides, probe_cameras=arguments.probe)


def _anonymise(arguments: argparse.Namespace) -> int:
    from faceanond.daemon.file_job import run_file_job

    config = _config_or_defaults(arguments)
    return run_file_job(
        arguments.input, arguments.output, config, report=arguments.report, keep_audio=arguments.keep_audio
    )


def _evaluate(arguments: argparse.Namespace) -> int:
    from faceanond.daemon.evaluate_job import run_evaluation

    config = _config_or_defaults(arguments)
    return run_evaluation(arguments.clip, arguments.truth, config, json_output=arguments.json)


def _fetch_model(arguments: argparse.Namespace) -> int:
    from faceanond.daemon.fetch_model import fetch_model

    return fetch_model(arguments.detector, arguments.url)


def _bench(arguments: argparse.Namespace) -> int:
    from faceanond.daemon.bench.run import run_bench

    config = _config_or_defaults(arguments)
    return run_bench(
        config, size=arguments.size, fps=arguments.fps, seconds=arguments.seconds, json_output=arguments.json
    )


def _version(arguments: argparse.Namespace) -> int:
    from faceanond.daemon.version import version_lines

    del arguments
    print("\n".join(version_lines()))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
