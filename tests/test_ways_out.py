"""Every way out of the process, by name: what leaves there, and that no picture does but a sealed one.

The first half walks the code: whatever hands bytes to a socket, a file, a terminal or another process must be in WAYS.
The second half goes to each entrance of a way out with things that look like a sealed picture and are none.
`tests/anonymise/test_seal_is_guarded.py` shows that nobody else can make one.
"""

from __future__ import annotations

import ast
import asyncio
import copy
import dataclasses
import io
import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import structlog

import faceanond
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.config.model import Camera, Encode, Log, Push
from faceanond.config.record import RecordOptions
from faceanond.config.types import Source
from faceanond.daemon.fleet import CameraView
from faceanond.evaluate.report import Result
from faceanond.evaluate.tally import FaceFrame, Tally
from faceanond.evaluate.truth import Label
from faceanond.frames import RawFrame
from faceanond.observe.logging import set_up_logging
from faceanond.pipeline.file import Report
from faceanond.pipeline.second import SecondEncoding
from faceanond.pipeline.snapshot import Snapshots
from faceanond.publish import fmp4
from faceanond.publish.encoder import Encoder
from faceanond.publish.file import FileWriter
from faceanond.publish.mp4_feed import AT_ONCE, EXACT, Mp4Feed, Timing
from faceanond.publish.packet import Codec, EncodedPacket
from faceanond.publish.push.network import Network
from faceanond.publish.push.rtsp import RtspPush
from faceanond.publish.push.target import Target
from faceanond.publish.record.index import Index, Segment
from faceanond.publish.record.recorder import Recorder
from faceanond.publish.rtp import Packetiser
from faceanond.publish.rtsp.session import Session
from faceanond.publish.snapshot import jpeg
from faceanond.publish.stream import Stream
from faceanond.publish.vp8 import Vp8Encoder
from faceanond.publish.webrtc.track import PassthroughTrack
from faceanond.status import CameraStatus, InferenceStatus, PushStatus, RecordStatus
from faceanond.web.api import camera_json
from tests.conftest import FakeClock
from tests.pictures import raw_frame
from tests.publish.sealed import moving, packet

ROOT = Path(faceanond.__file__).parent
MODULES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}


class Leaves(StrEnum):
    """What may pass a way out."""

    SEALED = "pictures, each through require_sealed"
    PACKETS = "what the encoder made of sealed pictures"
    WORDS = "text and numbers"
    OWN_FILES = "files of our own: networks, kernels, the page"
    DRAWN = "what the demo draws itself"
    NOTHING = "opens a socket or a stream in which others put something"


WAYS: dict[tuple[str, str], Leaves] = {
    ("publish/snapshot.py", "imencode"): Leaves.SEALED,
    ("publish/file.py", "open"): Leaves.SEALED,
    ("publish/file.py", "create"): Leaves.SEALED,
    ("publish/file.py", "mux"): Leaves.SEALED,
    ("publish/file.py", "add_stream_from_template"): Leaves.NOTHING,  # audio, when asked for
    ("publish/encoder.py", "create"): Leaves.SEALED,
    ("publish/vp8.py", "create"): Leaves.SEALED,
    ("publish/decode.py", "Packet"): Leaves.NOTHING,  # for the leak probe's decoder, of what was published already
    ("pipeline/file.py", "write"): Leaves.SEALED,
    ("pipeline/file.py", "open"): Leaves.WORDS,
    ("pipeline/camera.py", "write"): Leaves.PACKETS,
    ("publish/record/recorder.py", "write"): Leaves.PACKETS,
    ("publish/record/disk.py", "pwrite"): Leaves.PACKETS,
    ("web/recordings.py", "StreamResponse"): Leaves.PACKETS,
    ("web/recordings.py", "write"): Leaves.PACKETS,
    ("web/recordings.py", "Response"): Leaves.NOTHING,  # 304
    ("web/recordings.py", "json_response"): Leaves.WORDS,
    ("pipeline/second.py", "write"): Leaves.PACKETS,
    ("publish/webrtc/track.py", "Packet"): Leaves.PACKETS,
    ("publish/rtsp/session.py", "send"): Leaves.PACKETS,
    ("publish/rtsp/delivery.py", "send"): Leaves.PACKETS,
    ("publish/rtsp/delivery.py", "write"): Leaves.PACKETS,
    ("publish/rtsp/connection.py", "write"): Leaves.WORDS,
    ("publish/rtsp/connection.py", "Response"): Leaves.WORDS,
    ("publish/rtsp/delivery.py", "create_datagram_endpoint"): Leaves.NOTHING,
    ("publish/rtsp/datagrams.py", "sendto"): Leaves.PACKETS,
    ("publish/rtsp/datagrams.py", "socket"): Leaves.NOTHING,
    ("publish/rtsp/server.py", "start_server"): Leaves.NOTHING,
    ("publish/push/conversation.py", "write"): Leaves.WORDS,
    ("publish/push/conversation.py", "Response"): Leaves.WORDS,
    ("publish/push/delivery.py", "create_datagram_endpoint"): Leaves.NOTHING,
    ("publish/push/delivery.py", "send"): Leaves.PACKETS,
    ("publish/push/network.py", "ClientSession"): Leaves.NOTHING,
    ("publish/push/network.py", "open_connection"): Leaves.NOTHING,
    ("publish/push/network.py", "socket"): Leaves.NOTHING,
    ("publish/push/rtsp.py", "send"): Leaves.PACKETS,
    ("publish/webrtc/whip_http.py", "request"): Leaves.WORDS,
    ("publish/webrtc/ice.py", "create_datagram_endpoint"): Leaves.NOTHING,
    ("publish/webrtc/shared_port.py", "create_datagram_endpoint"): Leaves.NOTHING,
    ("publish/webrtc/shared_port.py", "request"): Leaves.WORDS,  # a connectivity check
    ("publish/webrtc/shared_port.py", "sendto"): Leaves.PACKETS,
    ("publish/webrtc/sockets.py", "socket"): Leaves.NOTHING,
    ("publish/webrtc/tcp_port.py", "create_server"): Leaves.NOTHING,
    ("publish/webrtc/tcp_port.py", "write"): Leaves.PACKETS,
    ("web/server.py", "create_server"): Leaves.NOTHING,
    ("web/app.py", "Response"): Leaves.WORDS,
    ("web/snapshots.py", "Response"): Leaves.SEALED,
    ("web/app.py", "json_response"): Leaves.WORDS,
    ("web/mp4.py", "Response"): Leaves.WORDS,
    ("web/mp4.py", "StreamResponse"): Leaves.PACKETS,
    ("web/mp4.py", "write"): Leaves.PACKETS,
    ("web/mp4.py", "WebSocketResponse"): Leaves.PACKETS,
    ("web/mp4.py", "send_bytes"): Leaves.PACKETS,
    ("web/mp4.py", "send_str"): Leaves.WORDS,
    ("web/guard.py", "Response"): Leaves.WORDS,
    ("web/problem.py", "Response"): Leaves.WORDS,
    ("web/whep.py", "Response"): Leaves.WORDS,
    ("observe/logging.py", "write"): Leaves.WORDS,
    ("observe/writer.py", "write"): Leaves.WORDS,
    ("daemon/notify.py", "socket"): Leaves.NOTHING,
    ("daemon/notify.py", "sendto"): Leaves.WORDS,
    ("config/reference.py", "write_text"): Leaves.WORDS,
    ("daemon/evaluate_job.py", "write_text"): Leaves.WORDS,  # JSON of what was counted
    ("daemon/download.py", "write"): Leaves.OWN_FILES,
    ("daemon/download.py", "fdopen"): Leaves.OWN_FILES,
    ("daemon/download.py", "mkstemp"): Leaves.OWN_FILES,
    ("detect/cache.py", "write"): Leaves.OWN_FILES,
    ("detect/cache.py", "fdopen"): Leaves.OWN_FILES,
    ("detect/cache.py", "mkstemp"): Leaves.OWN_FILES,
    ("detect/native/build.py", "subprocess.run"): Leaves.OWN_FILES,
    ("capture/network.py", "socket"): Leaves.NOTHING,
    ("capture/pyav_source.py", "Packet"): Leaves.NOTHING,  # for the decoder
    ("capture/demo_clip.py", "open"): Leaves.DRAWN,
    ("capture/demo_clip.py", "mux"): Leaves.DRAWN,
    ("capture/demo_clip.py", "create"): Leaves.DRAWN,
    ("daemon/bench/run.py", "memfd_create"): Leaves.DRAWN,
}
"""(module, call): what leaves there. Whoever adds a way out adds it here, and thinks about it while doing so."""
MAY_PRINT = ("cli.py", "daemon/")
"""Commands talk to the person who started them."""

CALLS = frozenset((
    "write", "writelines", "pwrite", "pwritev", "write_bytes", "write_text", "write_eof", "sendto", "send",
    "sendall", "sendmsg", "sendfile", "mux", "imwrite", "imencode", "imshow", "tofile", "save", "savez",
    "savez_compressed", "savetxt", "dump", "Response", "StreamResponse", "FileResponse", "json_response",
    "WebSocketResponse", "EventSourceResponse", "print", "fdopen", "mkstemp", "NamedTemporaryFile", "TemporaryFile",
    "Popen", "system", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell",
    "SharedMemory", "memfd_create", "mmap", "ClientSession", "request", "create_datagram_endpoint",
    "open_connection", "open_unix_connection", "create_connection", "create_server", "create_unix_server",
    "start_server", "start_unix_server", "socket", "socketpair", "Packet", "MediaRecorder", "MediaRelay",
    "add_stream_from_template", "to_image", "replaceTrack", "set_trace", "breakpoint", "dump_traceback",
    "send_bytes", "send_str", "send_json",
))  # fmt: skip
"""Names of calls that hand something out, of the libraries at hand. "open" counts when it opens for writing."""
PICTURES = {"RawFrame", "Planes", "Plane", "NDArray", "ndarray", "VideoFrame", "MatLike", "Detections", "memoryview"}
"""Types that can hold a picture and carry no seal."""


def called(call: ast.Call) -> str:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = call.func.value.id if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) else ""
    return f"{owner}.{name}" if owner == "subprocess" else name


def hands_out(call: ast.Call) -> str | None:
    """The call's name if it is one that hands something out."""
    name = called(call)
    if name in CALLS or name.startswith("subprocess."):
        return name
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    words = {argument.value for argument in arguments if isinstance(argument, ast.Constant)}
    if name == "open" and any(isinstance(word, str) and len(word) <= 3 and set(word) & set("wax+") for word in words):
        return name
    if name in {"create", "add_stream"} and any(isinstance(word, str) and word.startswith("lib") for word in words):
        return "create"
    return None


def ways_out(source: str) -> set[str]:
    found = {hands_out(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
    return {name for name in found if name is not None}


def functions(source: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Each function with its name, "Class.method" for a method."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        if isinstance(node, ast.Module | ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield prefix + inner.name, inner


def text(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


# The code


@pytest.mark.parametrize("module", MODULES)
def test_every_way_out_is_known(module: str) -> None:
    found = ways_out(text(module))
    if module.startswith(MAY_PRINT):
        found.discard("print")
    assert found == {name for place, name in WAYS if place == module}, "add it to WAYS, or take it out"


@pytest.mark.parametrize(
    "source",
    [
        "path.write_bytes(frame.y)",
        "open('/tmp/x', 'wb').close()",
        "path.open(mode='a')",
        "av.open('x.mp4', 'w')",
        "cv2.imwrite('x.png', y)",
        "np.save('x', y)",
        "y.tofile('x')",
        "subprocess.run(['ffmpeg'])",
        "transport.sendto(y)",
        "web.Response(body=y)",
        "multiprocessing.shared_memory.SharedMemory('x', create=True)",
        "av.CodecContext.create('libx264', 'w')",
        "container.add_stream('libx264')",
    ],
)
def test_the_walk_sees_a_new_way_out(source: str) -> None:
    assert ways_out(source)


@pytest.mark.parametrize("source", ["path.open('rb')", "open(path)", "source.open()", "av.open('x.mp4')"])
def test_reading_is_no_way_out(source: str) -> None:
    assert not ways_out(source)


GATES = [
    ("publish/encoder.py", "Encoder.encode"),
    ("publish/vp8.py", "Vp8Encoder.encode"),
    ("publish/file.py", "FileWriter.write"),
    ("publish/snapshot.py", "jpeg"),
]
"""Where a picture turns into bytes."""


@pytest.mark.parametrize(("module", "name"), GATES)
def test_the_gate_is_the_first_thing_in_it(module: str, name: str) -> None:
    function = dict(functions(text(module)))[name]
    first = next(step for step in function.body if not isinstance(step, ast.Expr))
    assert ast.unparse(first) == "frame = require_sealed(frame)"


def test_whoever_takes_a_picture_to_publish_is_one_of_the_gates_or_behind_one() -> None:
    """No other function in publish/ or web/ may take a sealed picture without being listed here."""
    takers = {
        (module, name)
        for module in MODULES
        if module.startswith(("publish/", "web/"))
        for name, function in functions(text(module))
        if "AnonymisedFrame" in ast.unparse(function.args)
    }
    behind = {
        ("publish/encoder.py", "video_frame"),
        ("publish/encoder.py", "timed"),
        ("publish/encoder.py", "Encoder._encode"),
        ("publish/vp8.py", "Vp8Encoder._encode"),
        ("publish/file.py", "FileWriter._open"),
        ("publish/file.py", "FileWriter._fitted"),
    }
    assert takers == set(GATES) | behind


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(("publish/", "web/"))])
def test_nothing_that_publishes_can_take_an_unsealed_picture(module: str) -> None:
    innocent = {
        ("publish/file.py", "_planes"),
        ("publish/decode.py", "_copied"),  # gives pictures back to the leak probe, from packets; see below
    }
    for name, function in functions(text(module)):
        mentioned = {node.id for node in ast.walk(function.args) if isinstance(node, ast.Name)}
        assert (module, name) in innocent or not mentioned & PICTURES, f"{name} takes {mentioned & PICTURES}"


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("web/")])
def test_the_web_knows_no_pictures_at_all(module: str) -> None:
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(text(module)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
    }
    assert not imported & {"numpy", "cv2", "av", "PIL"}


def test_packets_are_made_by_the_encoders_alone() -> None:
    makers = {
        module
        for module in MODULES
        for node in ast.walk(ast.parse(text(module)))
        if isinstance(node, ast.Call) and called(node) == "EncodedPacket"
    }
    assert makers == {"publish/encoder.py", "publish/vp8.py"}


def test_a_decoded_picture_goes_to_the_detector_and_nowhere_else() -> None:
    """What the leak probe decodes was published before; all the same nobody may publish it again, or keep it."""
    decoders = {module for module in MODULES if module != "publish/decode.py" and "publish.decode" in text(module)}
    assert decoders == {"pipeline/probe.py"}
    probe = dict(functions(text("pipeline/probe.py")))
    assert uses(probe["LeakProbe._look"], "picture") == {
        "RawFrame(picture.y)",
        "RawFrame(picture.u)",
        "RawFrame(picture.v)",
        "RawFrame(picture.matrix)",
    }
    assert uses(probe["LeakProbe._look"], "frame") == {
        "frame.size",
        "frame.id",
        "is_searched(frame.size)",
        "self._detector.detect(frame)",
    }
    makers = {name for name, function in probe.items() if "RawFrame(" in ast.unparse(function)}
    assert makers == {"LeakProbe._look"}
    assert {name for name, function in probe.items() if "_decoding" in ast.unparse(function)} == {
        "LeakProbe.__init__",
        "LeakProbe._look",
        "LeakProbe._tick",
    }
    assert uses(probe["LeakProbe._tick"], "self._decoding") == {"self._decoding", "self._decoding.done"}


def uses(function: ast.AST, name: str) -> set[str]:
    """How a function uses a variable: the attribute, or the name itself, and the call that gets it."""
    parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
    found = set()
    for node in ast.walk(function):
        if not isinstance(node, ast.Name | ast.Attribute) or ast.unparse(node) != name:
            continue
        if not isinstance(node.ctx, ast.Load):
            continue
        use: ast.AST = parents[node] if isinstance(parents[node], ast.Attribute) else node
        call = parents[use]
        if isinstance(call, ast.Call) and call.func is not use:
            found.add(f"{ast.unparse(call.func)}({ast.unparse(use)})")
        else:
            found.add(ast.unparse(use))
    return found


@pytest.mark.parametrize(
    "kind", [CameraStatus, RecordStatus, Segment, InferenceStatus, PushStatus, Tally, FaceFrame, Label, Result]
)
def test_what_pages_metrics_and_reports_are_told_holds_no_picture(kind: type) -> None:
    for name, hint in get_type_hints(kind).items():
        settings = (kind, name) == (Result, "settings")  # tables of the configuration, as JSON
        assert settings or not any(word in str(hint) for word in [*PICTURES, "bytes", "object", "Any"]), name


def test_a_report_of_an_evaluation_is_json_and_so_holds_no_picture() -> None:
    calls = [node for node in ast.walk(ast.parse(text("daemon/evaluate_job.py"))) if isinstance(node, ast.Call)]
    (written,) = (ast.unparse(call.args[0]) for call in calls if called(call) == "write_text")
    assert written == "json.dumps(as_json(result), indent=1) + '\\n'"
    (result,) = (call for call in calls if called(call) == "Result")
    (settings,) = (ast.unparse(keyword.value) for keyword in result.keywords if keyword.arg == "settings")
    assert settings == (
        "{name: getattr(config, name).model_dump(mode='json') for name in ('detector', 'track', 'anonymise')}"
    )
    for picture in (np.zeros((2, 2), np.uint8), b"pixels", raw_frame()):
        with pytest.raises(TypeError, match="not JSON serializable"):
            json.dumps({"picture": picture})


# The attempts


def honest() -> AnonymisedFrame:
    return moving(3)


def bare() -> AnonymisedFrame:
    return object.__new__(AnonymisedFrame)


def forged(**changed: object) -> AnonymisedFrame:
    """Made without the constructor; every field is there, also the proof, but that of another picture."""
    model, fake = honest(), bare()
    for field in dataclasses.fields(AnonymisedFrame):
        object.__setattr__(fake, field.name, changed.get(field.name, getattr(model, field.name)))
    return fake


def unpickled() -> AnonymisedFrame:
    """What unpickling would do: the fields of a sealed frame, with other pixels among them, as a state."""
    fake, model = bare(), honest()
    state = [getattr(model, field.name) for field in dataclasses.fields(AnonymisedFrame)]
    names = [field.name for field in dataclasses.fields(AnonymisedFrame)]
    state[names.index("i420")] = model.i420.copy()
    fake.__setstate__(state)  # type: ignore[attr-defined]
    return fake


def swapped() -> AnonymisedFrame:
    frame = honest()
    object.__setattr__(frame, "i420", frame.i420.copy())
    return frame


class PacketLookAlike:
    """Has all that a packet has, with bytes that no encoder of ours has seen."""

    def __init__(self) -> None:
        for name, value in dataclasses.asdict(packet(0, keyframe=True)).items():
            setattr(self, name, value)


class LookAlike:
    """Answers to every name that a sealed frame or a packet has."""

    def __init__(self) -> None:
        model = honest()
        for field in dataclasses.fields(AnonymisedFrame):
            if field.name != "_proof":
                setattr(self, field.name, getattr(model, field.name))


IMPOSTORS: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "bytes": lambda: b"\x00\x00\x00\x01\x65" + bytes(100),
    "pixels": lambda: np.full((72, 64), 128, np.uint8),
    "frozen pixels": lambda: honest().i420,
    "a raw frame": lambda: raw_frame(size=(64, 48)),
    "a look-alike": LookAlike,
    "made without the constructor": bare,
    "forged with another's pixels": lambda: forged(i420=honest().i420.copy()),
    "forged without a proof": lambda: forged(_proof=None),
    "unpickled": unpickled,
    "with swapped pixels": swapped,
}
impostors = pytest.mark.parametrize("impostor", IMPOSTORS.values(), ids=IMPOSTORS.keys())


@pytest.mark.parametrize(
    "make",
    [
        lambda frame: dataclasses.replace(frame, i420=frame.i420.copy()),
        lambda frame: pickle.loads(pickle.dumps(frame)),
        copy.copy,
        copy.deepcopy,
    ],
    ids=["replace", "pickle", "copy", "deepcopy"],
)
def test_a_second_sealed_frame_cannot_be_made_of_a_first(make: Callable[[AnonymisedFrame], object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        make(honest())


@impostors
def test_the_encoder_refuses(impostor: Callable[[], Any]) -> None:
    encoder = Encoder("yard", Encode(), clock=FakeClock())
    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        encoder.encode(impostor())
    assert encoder.bytes == 0


@impostors
def test_the_second_encoder_refuses_also_after_an_honest_one(impostor: Callable[[], Any]) -> None:
    encoder = Vp8Encoder("yard", Encode(), clock=FakeClock())
    assert encoder.encode(honest())
    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        encoder.encode(impostor())


@pytest.mark.parametrize("name", IMPOSTORS.keys() - {"nothing"})
async def test_nothing_but_sealed_pictures_gets_through_the_second_encoding(name: str) -> None:
    second = SecondEncoding("yard", Encode(), clock=FakeClock())
    reader = second.stream.subscribe("test")
    second.offer(IMPOSTORS[name]())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        await second.run()
    second.close()
    assert dict(second.stream.output_bytes) == {}
    reader.close()


@impostors
def test_the_file_writer_refuses(impostor: Callable[[], Any], tmp_path: Path) -> None:
    writer = FileWriter(tmp_path / "out.mp4")
    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        writer.write(impostor())
    writer.discard()
    assert list(tmp_path.iterdir()) == []


@impostors
def test_the_jpeg_refuses(impostor: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        jpeg(impostor())


@impostors
async def test_the_shared_snapshots_refuse_also_after_an_honest_one(impostor: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as thread:
        snapshots = Snapshots(thread)
        assert await snapshots.of(honest())
        with pytest.raises(TypeError, match="only an AnonymisedFrame"):
            await snapshots.of(impostor())


@impostors
async def test_the_page_gets_no_snapshot(impostor: Callable[[], Any]) -> None:
    class Pipeline:
        last_sealed = impostor()

    view = CameraView("yard", Camera.model_validate({"source": Source("demo", "")}))
    with ThreadPoolExecutor(1) as thread:
        view.start(Pipeline(), thread)  # type: ignore[arg-type]
        if Pipeline.last_sealed is None:
            assert await view.snapshot() is None
        else:
            with pytest.raises(TypeError, match="only an AnonymisedFrame"):
                await view.snapshot()


REFUSED = (TypeError, AttributeError, ValueError)
"""What is no packet has not the fields of one. (An array has one called `data`, and gets a step further.)"""


@impostors
async def test_the_stream_refuses_and_no_viewer_gets_anything(impostor: Callable[[], Any]) -> None:
    stream = Stream("yard", clock=FakeClock())
    reader = stream.subscribe("test")
    with pytest.raises(TypeError, match="only an EncodedPacket"):
        stream.write(impostor())
    stream.close()
    assert dict(stream.output_bytes) == {}
    reader.close()


@pytest.mark.parametrize("codec", Codec)
def test_a_stream_refuses_a_packet_in_another_codec(codec: Codec) -> None:
    (other,) = set(Codec) - {codec}
    stream = Stream("yard", clock=FakeClock(), codec=codec)
    stream.write(dataclasses.replace(packet(0, keyframe=True), codec=codec))
    with pytest.raises(TypeError, match=f"a packet in {other} is not for a stream in {codec}"):
        stream.write(dataclasses.replace(packet(1, keyframe=True), codec=other))
    stream.close()


def test_the_stream_refuses_a_packet_that_only_looks_like_one() -> None:
    stream = Stream("yard", clock=FakeClock())
    with pytest.raises(TypeError, match="only an EncodedPacket"):
        stream.write(PacketLookAlike())  # type: ignore[arg-type]
    stream.close()


@impostors
def test_rtp_refuses(impostor: Callable[[], Any]) -> None:
    packetiser = Packetiser(ssrc=1, sequence=0, offset=0)
    with pytest.raises(REFUSED):
        packetiser.pack(impostor())
    assert packetiser.packets == 0


class Smuggling:
    """A stream and its reader that hand out what no stream would."""

    def __init__(self, contraband: object) -> None:
        self.camera = "yard"
        self.dropped = 0
        self._contraband = contraband

    def subscribe(self, protocol: str, **_: object) -> Smuggling:
        return self

    async def __aenter__(self) -> Smuggling:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def get(self) -> object:
        return self._contraband

    def close(self) -> None:
        return


@impostors
def test_fragmented_mp4_refuses(impostor: Callable[[], Any]) -> None:
    with pytest.raises(REFUSED):
        fmp4.fragment(1, [impostor()], origin=0, end=3600)


@impostors
@pytest.mark.parametrize("timing", [EXACT, AT_ONCE], ids=["exact", "at once"])
async def test_a_viewer_of_mp4_gets_nothing_else(impostor: Callable[[], Any], timing: Timing) -> None:
    first = Mp4Feed(Smuggling(impostor()), timing)  # type: ignore[arg-type]
    with pytest.raises(REFUSED):
        await first.start()
    contraband = Smuggling(packet(0, keyframe=True))
    later = Mp4Feed(contraband, timing)  # type: ignore[arg-type]
    await later.start()
    contraband._contraband = impostor()
    if timing is AT_ONCE:
        await later.get()  # the honest one
    with pytest.raises(REFUSED):
        await later.get()


@impostors
@pytest.mark.parametrize("protocol", ["webrtc", "push_whip"])
async def test_a_webrtc_track_refuses(impostor: Callable[[], Any], protocol: str) -> None:
    track = PassthroughTrack(Smuggling(impostor()), protocol=protocol)  # type: ignore[arg-type]
    with pytest.raises(REFUSED):
        await track.recv()
    track.stop()


@impostors
async def test_an_rtsp_session_refuses(impostor: Callable[[], Any]) -> None:
    sent: list[bytes] = []

    class Delivery:
        name, refused_at = "tcp", None

        def send(self, packets: list[bytes]) -> None:
            sent.extend(packets)

        def send_rtcp(self, data: bytes) -> None:
            sent.append(data)

        async def ready(self) -> None:
            await asyncio.sleep(0)

        def close(self) -> None:
            return

    session = Session(Smuggling(impostor()), clock=FakeClock())  # type: ignore[arg-type]
    session.set_up(Delivery())  # type: ignore[arg-type]
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as tasks:
            session.start(await session.cue(), tasks)
    assert caught.group_contains(REFUSED)
    session.end()
    assert sent == []


@pytest.mark.parametrize("impostor", [*IMPOSTORS.values(), PacketLookAlike], ids=[*IMPOSTORS, "a packet's look-alike"])
async def test_a_recorder_refuses(impostor: Callable[[], Any]) -> None:
    class Untouched:
        """Whatever is asked of threads or disk is a way further than anything may come."""

    recorder = Recorder(
        Smuggling(impostor()),  # type: ignore[arg-type]
        RecordOptions(enabled=True),
        disk=Untouched(),  # type: ignore[arg-type]
        threads=Untouched(),  # type: ignore[arg-type]
        index=Index(),
        clock=FakeClock(),
        stray=pytest.fail,
        tidy=lambda: None,
    )
    with pytest.raises(TypeError, match="only an EncodedPacket"):
        await recorder._record(Smuggling(impostor()))  # type: ignore[arg-type]
    assert recorder.written == 0


@impostors
async def test_a_push_over_rtsp_refuses(impostor: Callable[[], Any]) -> None:
    sent: list[bytes] = []

    class Delivery:
        def send(self, packets: list[bytes]) -> None:
            sent.extend(packets)

        def send_rtcp(self, data: bytes) -> None:
            sent.append(data)

        async def ready(self) -> None:
            await asyncio.sleep(0)

    clock = FakeClock()
    place = Target("yard", "rtsp://media/yard", Push())
    stream = Smuggling(impostor())
    async with Network(clock=clock) as network:
        push = RtspPush(place, stream, network, clock=clock, connected=lambda: None)  # type: ignore[arg-type]
        with pytest.raises(REFUSED):
            await push._carry(Delivery())  # type: ignore[arg-type]
    assert sent == []


@impostors
@pytest.mark.may_block
def test_the_report_tells_no_pixels(impostor: Callable[[], Any], tmp_path: Path) -> None:
    """It is no gate and need not refuse: words and numbers about a picture are all that it can write."""
    path = tmp_path / "report.jsonl"
    with Report(path) as report:
        try:
            report.write(0, impostor())
        except REFUSED:
            assert path.stat().st_size == 0
            return
    assert set(json.loads(path.read_text())) <= {"frame", "pts", "verdict", "reason", "regions"}


@impostors
def test_the_api_refuses(impostor: Callable[[], Any]) -> None:
    with pytest.raises(REFUSED):
        camera_json(impostor())


@pytest.mark.parametrize("level", ["info", "error"])
@pytest.mark.parametrize("what", [lambda: raw_frame(size=(30, 20)), honest, lambda: raw_frame(size=(640, 480))])
def test_the_log_tells_no_pixels(what: Callable[[], RawFrame | AnonymisedFrame], level: str) -> None:
    """Nobody logs a frame; but an exception's text or a careless line must not become a way out."""
    stream = io.StringIO()
    frame = what()
    with set_up_logging(Log(format="json"), stream=stream):
        getattr(structlog.get_logger("test"), level)("frame", frame=frame, words=str(frame))
    line = stream.getvalue()
    assert "lobby" in line or "yard" in line
    assert "array" not in line


def test_a_packet_does_not_tell_its_contents() -> None:
    encoded = Encoder("yard", Encode(), clock=FakeClock()).encode(honest())[0]
    assert isinstance(encoded, EncodedPacket)
    assert "data" not in repr(encoded)
