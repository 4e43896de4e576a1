"""Graphs that may look at pictures: normalised channels, a last layer that has learned something."""

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.graphs import vit
from benchmarks.graphs.digits_cnn import digits_cnn
from benchmarks.graphs.net import Net
from benchmarks.graphs.pictures import Pictures, digits
from benchmarks.graphs.resnets import resnet


def answers(graph: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


def accuracy(graph: bytes, pictures: Pictures) -> float:
    return float((answers(graph, pictures.pixels).argmax(1) == pictures.labels).mean())


def test_a_convolution_leaves_every_channel_at_zero_mean_and_unit_spread() -> None:
    seen = digits(16, 28, 1, seed=1).pixels
    net = Net(seen)
    net.node("Identity", [net.convolution("x", 1, 8, kernel=3)], "y")
    graph = net.serialized(("batch", 1, 28, 28), 8)
    model = onnx.load_from_string(graph)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    found = answers(model.SerializeToString(), seen)
    assert found.mean(axis=(0, 2, 3)) == pytest.approx(np.zeros(8), abs=1e-3)
    assert found.std(axis=(0, 2, 3)) == pytest.approx(np.ones(8), abs=1e-3)


def test_a_fitted_network_reads_digits_that_it_was_not_fitted_to() -> None:
    """Drawn digits are easy; what counts is that a wrong weight would show."""
    graph = digits_cnn(digits(512, 28, 1, seed=1))
    held_out = digits(256, 28, 1, seed=2)
    assert accuracy(graph, held_out) > 0.85
    shuffled = Pictures(held_out.pixels, np.roll(held_out.labels, 1))
    assert accuracy(graph, shuffled) < 0.4


def test_classes_that_no_picture_shows_do_not_win() -> None:
    pictures = digits(128, 28, 1, seed=1)
    net = Net(pictures.pixels)
    flat = net.node("Flatten", ["x"])
    net.fit(flat, *pictures, 1000)
    graph = net.serialized(("batch", 1, 28, 28), 1000)
    assert answers(graph, pictures.pixels).argmax(1).max() < 10


def test_a_network_without_pictures_is_the_same_every_time() -> None:
    assert resnet(18) == resnet(18)


def test_a_small_vision_transformer_is_a_graph_that_runs_with_any_batch() -> None:
    pictures = digits(16, vit.SIDE, 3, seed=1)
    graph = vit.vit(pictures, layers=1)
    one, all_ = answers(graph, pictures.pixels[:1]), answers(graph, pictures.pixels)
    assert all_.shape == (16, vit.CLASSES)
    assert one[0] == pytest.approx(all_[0], abs=1e-3)
    kinds = {node.op_type for node in onnx.load_from_string(graph).graph.node}
    assert {"LayerNormalization", "Softmax", "Erf", "MatMul"} <= kinds
