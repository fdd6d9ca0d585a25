"""Engines of frozen backbones: the same features from both, whatever the size of a batch, in several threads."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from core.engines import BATCH, Backbone, describe_engine, open_backbone
from core.errors import RunError

SIZE = 16


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A tiny backbone with two outputs, as `core.ml.export` writes them: channels last, any number of pictures."""
    rng = np.random.default_rng(1)
    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, (5, 3, 3, 3), rng.normal(size=135).astype(np.float32))
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["sums"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["sums"], ["cut_planes"]),
        helper.make_node("Transpose", ["cut_planes"], ["cut"], perm=[0, 2, 3, 1]),
        helper.make_node("GlobalAveragePool", ["cut_planes"], ["means"]),
        helper.make_node("Flatten", ["means"], ["pooled"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", SIZE, SIZE, 3])]
    outputs = [
        helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["n", 5]),
        helper.make_tensor_value_info("cut", TensorProto.FLOAT, ["n", SIZE // 2, SIZE // 2, 5]),
    ]
    graph = helper.make_graph(nodes, "backbone", inputs, outputs, [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "backbone.onnx")
    return tmp_path / "backbone.onnx"


@pytest.fixture(params=["openvino", "onnxruntime"])
def backbone(request: pytest.FixtureRequest, exported: Path, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """The same backbone in each engine."""
    choose(request.param, monkeypatch)
    assert describe_engine().startswith(request.param)
    return open_backbone(exported)


def choose(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an engine be used from now on; skip where it is not installed."""
    if engine == "openvino":
        pytest.importorskip("openvino", reason="it is not tested on this kind of processor")
    monkeypatch.setenv("STUDIO_OPENVINO", str(int(engine == "openvino")))


def pictures(n: int) -> np.ndarray:
    """Noise, float32 (n, SIZE, SIZE, 3)."""
    return np.random.default_rng(2).uniform(0, 255, (n, SIZE, SIZE, 3)).astype(np.float32)


def test_layers_are_told_by_name_and_shape(backbone: Backbone) -> None:
    assert backbone.shapes == {"pooled": (5,), "cut": (SIZE // 2, SIZE // 2, 5)}


def test_outputs_come_in_the_order_in_which_they_were_asked_for(backbone: Backbone) -> None:
    cut, pooled = backbone.run(pictures(BATCH), ("cut", "pooled"))
    assert np.allclose(cut.mean(axis=(1, 2)), pooled, rtol=1e-4)
    assert np.array_equal(backbone.run(pictures(BATCH), ("cut",))[0], cut)


@pytest.mark.parametrize("n", range(1, BATCH))
def test_a_smaller_batch_gives_what_its_pictures_give_in_a_full_one(backbone: Backbone, n: int) -> None:
    whole = backbone.run(pictures(BATCH), ("pooled",))[0]
    part = backbone.run(pictures(BATCH)[:n], ("pooled",))[0]
    assert part.shape == (n, 5)
    assert np.allclose(part, whole[:n], rtol=1e-5)


def test_several_threads_do_not_mix_up_their_pictures(backbone: Backbone) -> None:
    images = pictures(32)
    alone = [backbone.run(images[at : at + BATCH], ("cut",))[0] for at in range(0, 32, BATCH)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = list(pool.map(lambda at: backbone.run(images[at : at + BATCH], ("cut",))[0], range(0, 32, BATCH)))
            assert all(np.array_equal(one, other) for one, other in zip(found, alone, strict=True))


def test_both_engines_give_the_same_features(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose("openvino", monkeypatch)
    found = open_backbone(exported).run(pictures(BATCH), ("pooled", "cut"))
    choose("onnxruntime", monkeypatch)
    expected = open_backbone(exported).run(pictures(BATCH), ("pooled", "cut"))
    assert all(np.allclose(mine, its, rtol=1e-4, atol=1e-3) for mine, its in zip(found, expected, strict=True))


def test_an_openvino_that_cannot_be_loaded_is_told_with_the_way_out(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_OPENVINO", "1")
    monkeypatch.setattr("core.engines._installed_openvino", lambda: "2026.4.1")
    monkeypatch.setitem(sys.modules, "openvino", None)  # as where a library of the system is missing
    with pytest.raises(RunError, match="STUDIO_OPENVINO=0"):
        open_backbone(exported)
