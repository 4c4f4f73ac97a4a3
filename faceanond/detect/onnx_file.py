"""A published ONNX file made fit for our use: any picture size, any batch, one output.

Published graphs are written for one size and one picture, and some list their weights as inputs, which keeps ONNX
Runtime from preparing them (CenterFace: 315 ms at 1280x736 as published, 147 afterwards). The numbers stay the same:
only declared sizes change, nodes that nobody asks for go, and the answers are joined.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper, numpy_helper

from faceanond.errors import UnavailableError

ANSWERS = "answers"
"""The name of the joined output."""
_IR_VERSION = 4
"""From this version on, weights need not be inputs."""


@dataclass(frozen=True, slots=True)
class Output:
    """An output by name, and how many numbers it holds for each place."""

    name: str
    features: int


@dataclass(frozen=True, slots=True)
class Signature:
    """How a network is recognised and its answers are joined.

    The outputs of a group lie side by side along `features_axis`; the groups one behind the other along axis 1.
    """

    input: str
    groups: tuple[tuple[Output, ...], ...]
    rank: int
    features_axis: int


def adapted(content: bytes, signature: Signature, where: str) -> bytes:
    """The file with one input (n, 3, height, width) and one output. `where` names the file in messages.

    Raises UnavailableError when it is no ONNX file or the file of another network.
    """
    graph = _graph(content, where)
    weights = {weight.name: weight for weight in graph.graph.initializer}
    _recognise(graph.graph, signature, set(weights), where)
    _free_batches(graph.graph, weights)
    nodes = list(graph.graph.node) + _join(signature)
    nodes, used = _needed(nodes)
    picture = helper.make_tensor_value_info(signature.input, TensorProto.FLOAT, ["n", 3, "height", "width"])
    shape: list[str | int] = ["n", *(f"side{axis}" for axis in range(1, signature.rank))]
    shape[signature.features_axis] = sum(output.features for output in signature.groups[0])
    answers = helper.make_tensor_value_info(ANSWERS, TensorProto.FLOAT, shape)
    kept = [weight for name, weight in weights.items() if name in used]
    model = helper.make_model(
        helper.make_graph(nodes, "faces", [picture], [answers], kept),
        opset_imports=graph.opset_import,
        ir_version=max(graph.ir_version, _IR_VERSION),
    )
    return bytes(model.SerializeToString())


def _graph(content: bytes, where: str) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own, which has no typed home
        raise UnavailableError(f"{where} is cut short or not an ONNX file") from error
    if not model.graph.node:  # an empty file, or bytes that happen to be a protocol buffer
        raise UnavailableError(f"{where} is not an ONNX file: it holds no network")
    return model


def _recognise(graph: onnx.GraphProto, signature: Signature, weights: set[str], where: str) -> None:
    inputs = {value.name: _sizes(value) for value in graph.input if value.name not in weights}
    outputs = {value.name: _sizes(value) for value in graph.output}
    given = inputs.get(signature.input)
    if len(inputs) != 1 or given is None or len(given) != 4 or given[1] not in {3, None}:
        expected = f'one input "{signature.input}" of rank 4 with 3 channels'
        raise UnavailableError(f"{where} is the file of another network: expected {expected}, found {_told(inputs)}")
    for group in signature.groups:
        for output in group:
            sizes = outputs.get(output.name)
            if sizes is None:
                expected = f'an output "{output.name}"'
            elif len(sizes) != signature.rank or sizes[signature.features_axis] not in {output.features, None}:
                expected = f'an output "{output.name}" of rank {signature.rank} with {output.features} features'
            else:
                continue
            message = f"{where} is the file of another network: expected {expected}, found {_told(outputs)}"
            raise UnavailableError(message)


def _sizes(value: onnx.ValueInfoProto) -> list[int | None]:
    """The declared sizes; None where any will do."""
    sizes = value.type.tensor_type.shape.dim
    return [size.dim_value if size.HasField("dim_value") else None for size in sizes]


def _told(values: dict[str, list[int | None]]) -> str:
    """`"input" [1, 3, 640, 640]`, the first few."""
    shown = [f'"{name}" [{", ".join("?" if one is None else str(one) for one in sizes)}]'[:80]
             for name, sizes in list(values.items())[:4]]  # fmt: skip
    return (", ".join(shown) or "none") + (" and more" if len(values) > len(shown) else "")


def _free_batches(graph: onnx.GraphProto, weights: dict[str, TensorProto]) -> None:
    """Lets every Reshape that is written for one picture keep the batch as it comes (a size of 0 means that)."""
    for node in graph.node:
        target = weights.get(node.input[1]) if node.op_type == "Reshape" else None
        if target is None:
            continue
        sizes = numpy_helper.to_array(target).copy()
        if len(sizes) > 1 and sizes[0] == 1:
            sizes[0] = 0
            target.CopyFrom(numpy_helper.from_array(sizes, target.name))


def _join(signature: Signature) -> list[onnx.NodeProto]:
    last = len(signature.groups) == 1
    joined = [ANSWERS] if last else [f"{ANSWERS}_{number}" for number in range(len(signature.groups))]
    nodes = [
        helper.make_node("Concat", [output.name for output in group], [name], axis=signature.features_axis)
        for group, name in zip(signature.groups, joined, strict=True)
    ]
    return nodes if last else [*nodes, helper.make_node("Concat", joined, [ANSWERS], axis=1)]


def _needed(nodes: Iterable[onnx.NodeProto]) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that the answers depend on, in their order, and the names that they read."""
    used, kept = {ANSWERS}, []
    for node in reversed(list(nodes)):
        if used.intersection(node.output):
            kept.append(node)
            used.update(node.input)
    return kept[::-1], used
