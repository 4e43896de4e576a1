"""A subject whose graph is written by hand: three products, two ReLUs, judged by the largest answer."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.datatypes import DataType
from models.manifest import MODEL_FILE, Evaluation, TensorSpec, Tolerance
from training import metrics
from training.optimizing.subject import Subject
from training.work import Array, Arrays, Predict

FEATURES, HIDDEN, CLASSES = 8, 16, 4


def write_graph(path: Path, seed: int = 0, is_spoiled: bool = False) -> None:
    """`is_spoiled`: what lies between the first two products has a range that 8 bits cannot resolve."""
    generator = np.random.default_rng(seed)
    first = generator.standard_normal((FEATURES, HIDDEN)).astype(np.float32)
    second = generator.standard_normal((HIDDEN, HIDDEN)).astype(np.float32)
    third = generator.standard_normal((HIDDEN, CLASSES)).astype(np.float32)
    if is_spoiled:
        # A unit that is a thousand times as loud and that nobody listens to sets the range of all others.
        first[:, 0] *= 3000
        second[0] = 0
    nodes = [
        helper.make_node("MatMul", ["point", "first"], ["inner"], "first-product"),
        helper.make_node("Relu", ["inner"], ["rectified"], "relu"),
        helper.make_node("MatMul", ["rectified", "second"], ["middle"], "second-product"),
        helper.make_node("Relu", ["middle"], ["again"], "relu-again"),
        helper.make_node("MatMul", ["again", "third"], ["logits"], "third-product"),
    ]
    graph = helper.make_graph(
        nodes,
        "fake",
        [helper.make_tensor_value_info("point", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [
            numpy_helper.from_array(weight, name)
            for name, weight in (("first", first), ("second", second), ("third", third))
        ],
    )
    opset = [helper.make_opsetid("", 21)]
    onnx.save_model(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


def specs() -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    point = TensorSpec(name="point", dtype=DataType.FLOAT, shape=("batch", FEATURES))
    logits = TensorSpec(name="logits", dtype=DataType.FLOAT, shape=("batch", CLASSES))
    return (point,), (logits,)


class FakeSubject(Subject):
    """`forms`: files worth trying. Right is what the reference says."""

    is_embedding = False
    timed_batches = (1, 4)
    tolerance = Tolerance()

    def __init__(self, folder: Path, forms: tuple[str, ...] = (), items: int = 400) -> None:
        self.folder, self._forms = folder, forms
        self.inputs, self.outputs = specs()
        generator = np.random.default_rng(1)
        self._test = generator.standard_normal((items, FEATURES)).astype(np.float32)
        self._rows = generator.standard_normal((64, FEATURES)).astype(np.float32)
        self._truth: Array | None = None

    def precisions(self) -> tuple[str, ...]:
        return self._forms

    @property
    def takes_settings(self) -> bool:
        return True

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        right = self.item_scores(predict)
        return (
            Evaluation(
                dataset="fake",
                split="test",
                metric="accuracy",
                value=float(right.mean()),
                interval=metrics.wilson_interval(int(right.sum()), len(right)),
                samples=len(right),
            ),
        )

    def item_scores(self, predict: Predict) -> Array:
        said = predict({"point": self._test})["logits"].argmax(axis=1)
        if self._truth is None:  # the reference is asked first
            self._truth = said
        return np.asarray(said == self._truth)

    def sample(self, batch: int) -> Arrays:
        return {"point": np.resize(self._test, (batch, FEATURES))}

    def golden_inputs(self) -> Arrays:
        return {"point": self._test[:3]}

    def calibration(self) -> Iterable[Arrays]:
        return [{"point": self._rows}]


def subject_in(
    folder: Path, *forms: str, is_spoiled: bool = False, items: int = 400
) -> FakeSubject:
    write_graph(folder / MODEL_FILE, is_spoiled=is_spoiled)
    return FakeSubject(folder, forms, items)
