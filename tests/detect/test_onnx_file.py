from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from faceanond.detect.centerface import CENTERFACE
from faceanond.detect.onnx_file import adapted
from faceanond.detect.session import Device, Network
from faceanond.detect.single_shot import Family
from faceanond.detect.yunet import YUNET
from faceanond.errors import UnavailableError
from tests.detect.networks import like_centerface, like_yunet

WHERE = "the model file x.onnx of any"
FAMILIES = [(YUNET, like_yunet()), (CENTERFACE, like_centerface())]


def opened(family: Family, content: bytes) -> Network:
    return Network("small", adapted(content, family.signature, WHERE), Device("cpu", 1))


def pictures(count: int, height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).integers(0, 256, (count, 3, height, width)).astype(np.float32)


@pytest.mark.parametrize(("family", "content"), FAMILIES, ids=["yunet", "centerface"])
def test_a_graph_for_one_size_and_batch_takes_any(family: Family, content: bytes) -> None:
    network = opened(family, content)
    for count, height, width in ((1, 64, 64), (3, 32, 96), (2, 160, 32)):
        answers = network.run(pictures(count, height, width))
        assert answers.shape == (count, *family.answer_shape(width, height))


def test_yunets_answers_are_joined_in_order() -> None:
    batch = pictures(1, 64, 64)
    names = [f"{kind}_{step}" for step in (8, 16, 32) for kind in ("cls", "obj", "bbox")]
    own = ort.InferenceSession(like_yunet(), providers=["CPUExecutionProvider"]).run(names, {"input": batch})
    expected = np.concatenate([np.concatenate(own[at : at + 3], axis=2) for at in (0, 3, 6)], axis=1)
    assert np.allclose(opened(YUNET, like_yunet()).run(batch), expected, atol=1e-5)


def test_centerfaces_answers_are_joined_in_order() -> None:
    batch = pictures(10, 32, 32)
    names = ["537", "538", "539"]
    own = ort.InferenceSession(like_centerface(), providers=["CPUExecutionProvider"]).run(names, {"input.1": batch})
    assert np.allclose(opened(CENTERFACE, like_centerface()).run(batch), np.concatenate(own, axis=1), atol=1e-5)


@pytest.mark.parametrize(("family", "content"), FAMILIES, ids=["yunet", "centerface"])
def test_what_nobody_asks_for_is_not_computed(family: Family, content: bytes) -> None:
    graph = onnx.load_model_from_string(adapted(content, family.signature, WHERE)).graph
    assert not [node for node in graph.node if "kps" in node.output[0] or "540" in node.output]
    assert not [weight for weight in graph.initializer if "kps" in weight.name or "540" in weight.name]
    assert [value.name for value in graph.input] == [family.signature.input]


def test_a_size_that_is_already_free_is_fine() -> None:
    model = onnx.load_model_from_string(like_centerface())
    for value in (model.graph.input[0], *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            size.Clear()
    assert opened(CENTERFACE, model.SerializeToString()).run(pictures(1, 32, 32)).shape == (1, 5, 8, 8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not an ONNX file: it holds no network"),
        (b"<html>not found</html>", "is cut short or not an ONNX file"),
        (like_yunet()[:1000], "is cut short or not an ONNX file"),
        (like_centerface(), 'expected one input "input" of rank 4 with 3 channels, found "input.1" [10, 3, 32, 32]'),
        (like_yunet(source="x"), 'expected one input "input" of rank 4 with 3 channels, found "x" [1, 3, 64, 64]'),
        (like_yunet(without="obj_16"), 'expected an output "obj_16", found "cls_8" [1, 64, 1], "cls_16" [1, 16, 1]'),
        (like_yunet(rank=2), 'expected an output "cls_8" of rank 3 with 1 features, found "cls_8" [1, 64]'),
    ],
)
def test_what_is_not_yunet_is_refused_with_what_was_expected(content: bytes, reason: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        adapted(content, YUNET.signature, WHERE)
    assert str(caught.value).startswith(WHERE)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_output_with_other_features_is_the_sign_of_another_network() -> None:
    other = like_centerface(features={"537": 80, "538": 2, "539": 2})
    with pytest.raises(UnavailableError, match='expected an output "537" of rank 4 with 1 features'):
        adapted(other, CENTERFACE.signature, WHERE)


def test_a_second_picture_input_is_the_sign_of_another_network() -> None:
    model = onnx.load_model_from_string(like_centerface())
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, 32, 32]))
    with pytest.raises(UnavailableError, match=r'found "input\.1" \[10, 3, 32, 32\], "mask" \[1, 1, 32, 32\]'):
        adapted(model.SerializeToString(), CENTERFACE.signature, WHERE)
