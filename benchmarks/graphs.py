"""MTCNN's three networks, one thread: our float graphs and 8-bit kernels against OpenVINO on the published graphs.

    python -m benchmarks.graphs --python SCRATCH/bin/python

SCRATCH is an environment with `openvino`. All see the same pictures; each round runs every network once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.ranges import Open
from faceanond.detect.cache import mtcnn_graphs
from faceanond.detect.mtcnn_networks import byte_networks
from faceanond.detect.session import Device, Network
from faceanond.detect.weights import load_weights

SHAPES = {"pnet": (1, 326, 578), "rnet": (64, 24, 24), "onet": (16, 48, 48)}
"""The first level of a 1920x1080 picture, and crops of a busy one."""
_OPENVINO = """
import sys, time
import numpy as np, openvino as ov
core = ov.Core()
runs = []
for name in sys.argv[2:]:
    pictures = np.load(sys.argv[1])[name]
    model = core.read_model(f"{sys.argv[1]}.{name}.onnx")
    model.reshape(list(pictures.shape))
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    runs.append((request, pictures))
print("ready", flush=True)
for line in sys.stdin:
    request, pictures = runs[int(line)]
    start = time.perf_counter()
    request.infer({0: pictures}, share_inputs=True, share_outputs=True)
    print(time.perf_counter() - start, flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="times the three networks")
    parser.add_argument("--python", required=True, help="the Python of an environment with openvino")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--cpu", type=int, default=0)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.cpu})
    random, weights, graphs, quick = np.random.default_rng(0), load_weights(), mtcnn_graphs(), byte_networks()
    pixels = {name: random.integers(0, 256, (*shape, 4)).astype(np.uint8) for name, shape in SHAPES.items()}
    floats = {
        name: np.ascontiguousarray(bytes_[..., :3].transpose(0, 3, 1, 2), np.float32) for name, bytes_ in pixels.items()
    }
    sessions = {name: Network(name, getattr(graphs, name), Device("cpu", 1)) for name in SHAPES}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npz"
        np.savez(file, **floats)
        for name in SHAPES:
            Path(f"{file}.{name}.onnx").write_bytes(Open(weights, name, shown=False).model)
        command = ["taskset", "-c", str(arguments.cpu), arguments.python, "-c", _OPENVINO, str(file), *SHAPES]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            taken: dict[tuple[str, str], list[float]] = {}
            for _ in range(arguments.rounds):
                for number, name in enumerate(SHAPES):
                    process.stdin.write(f"{number}\n")
                    process.stdin.flush()
                    taken.setdefault((name, "openvino"), []).append(float(process.stdout.readline()))
                    start = time.perf_counter()
                    sessions[name].run(floats[name])
                    taken.setdefault((name, "float"), []).append(time.perf_counter() - start)
                    if quick is not None:
                        start = time.perf_counter()
                        if name == "pnet":
                            quick.pnet.propose(pixels[name][0], np.inf, 1)
                        else:
                            getattr(quick, name).classify(pixels[name])
                        taken.setdefault((name, "8 bit"), []).append(time.perf_counter() - start)
            process.stdin.close()
    print(f"ms, median of {arguments.rounds} (times OpenVINO)")
    print(f"{'':24}{'OpenVINO f32':>16}{'ours, float':>20}{'ours, 8 bit':>20}")
    for name, shape in SHAPES.items():
        reference = median(taken[name, "openvino"])
        cells = [f"{1e3 * reference:.2f}"]
        for kind in ("float", "8 bit"):
            if (name, kind) in taken:
                mine = median(taken[name, kind])
                cells.append(f"{1e3 * mine:.2f} ({mine / reference:.2f})")
        print(
            f"{name + ' ' + 'x'.join(map(str, shape)):24}{cells[0]:>16}" + "".join(f"{cell:>20}" for cell in cells[1:])
        )


if __name__ == "__main__":
    main()
