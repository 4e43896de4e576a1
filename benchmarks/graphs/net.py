"""An ONNX graph made node by node, with weights that behave like trained ones as far as that is cheap.

Random weights alone will not do where accuracy is compared: layer after layer all inputs come to look
alike, and rounding to eight bits leaves nothing that tells them apart. A net that may look at some pictures
brings every channel of every convolution to zero mean and unit spread over them, as batch normalisation
leaves it (Ioffe and Szegedy 2015), folded into the weights as exporters do; its last layer can be fitted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 18, 10
_RIDGE = 0.1  # of the mean square of a feature


class Net:
    """Input `x`, output `y`. `seen`: pictures [N, …] on which every node is computed when it is made."""

    def __init__(self, seen: np.ndarray | None = None, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, np.ndarray] = {}
        self._values: dict[str, np.ndarray] | None = None if seen is None else {"x": seen}

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        name = output or f"v{len(self._nodes)}"
        node = helper.make_node(kind, list(inputs), [name], **attributes)
        self._nodes.append(node)
        if self._values is not None:
            self._values[name] = self._computed(node)
        return name

    def weight(self, *shape: int, scale: float) -> str:
        return self.constant((self._random.standard_normal(shape) * scale).astype(np.float32))

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self._weights)}"
        self._weights[name] = array
        return name

    def convolution(
        self, x: str, before: int, after: int, kernel: int, stride: int = 1, pad: int | None = None,
        spread: float = 1.0,
    ) -> str:  # fmt: skip
        """Square kernel; as much padding as keeps the size, unless told otherwise. `spread`: of each channel,
        over the pictures that are looked at."""
        scale = (2 / (before * kernel * kernel)) ** 0.5
        weight = self.weight(after, before, kernel, kernel, scale=scale)
        bias = self.weight(after, scale=0.0)
        pads = [kernel // 2 if pad is None else pad] * 4
        value = self.node("Conv", [x, weight, bias], strides=[stride, stride], pads=pads)
        if self._values is not None:
            self._normalize(value, weight, bias, spread)
        return value

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def gemm(self, x: str, before: int, after: int, output: str = "") -> str:
        return self.node("Gemm", [x, self.weight(before, after, scale=before**-0.5)], output)

    def fit(self, x: str, pictures: np.ndarray, labels: np.ndarray, after: int) -> None:
        """The last layer: `x` [N, features] → y [N, after], by ridge regression on one-hot labels. Classes
        that no label names get weights of the same kind, and never win by much."""
        features = self._run(x, pictures).astype(np.float64)
        mean = features.mean(axis=0)
        centred = features - mean
        ridge = _RIDGE * np.square(centred).mean() * len(centred)
        wanted = np.eye(int(labels.max()) + 1)[labels]
        product = centred.T @ centred + ridge * np.eye(centred.shape[1])
        fitted = np.linalg.solve(product, centred.T @ (wanted - wanted.mean(axis=0)))
        weight = self._random.standard_normal((len(fitted), after)) * 0.1 * fitted.std()
        weight[:, : fitted.shape[1]] = fitted
        bias = np.full(after, -1.0)
        bias[: fitted.shape[1]] = wanted.mean(axis=0)
        bias -= mean @ weight
        last = [self.constant(array.astype(np.float32)) for array in (weight, bias)]
        self.node("Gemm", [x, *last], "y")

    def serialized(self, shape: Sequence[int | str], outputs: int, output: str = "y") -> bytes:
        """`shape`: of x; `outputs`: columns of the output, whose rows are the batch."""
        graph = helper.make_graph(
            self._nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", outputs])],
            [numpy_helper.from_array(array, name) for name, array in self._weights.items()],
        )
        return _model(graph)

    def _normalize(self, value: str, weight: str, bias: str, wanted: float) -> None:
        """Channels of `value` [N, C, …] over everything seen."""
        assert self._values is not None
        found = self._values[value]
        axes = tuple(axis for axis in range(found.ndim) if axis != 1)
        mean, spread = found.mean(axis=axes), (found.std(axis=axes) + 1e-6) / wanted
        along = (-1,) + (1,) * (found.ndim - 2)
        self._values[value] = (found - mean.reshape(along)) / spread.reshape(along)
        self._weights[weight] = self._weights[weight] / spread.reshape(-1, 1, 1, 1)
        self._weights[bias] = -mean / spread

    def _computed(self, node: onnx.NodeProto) -> np.ndarray:
        """One node on what was seen so far."""
        import onnxruntime

        assert self._values is not None
        fed = {name: self._values[name] for name in node.input if name in self._values}
        kept = {name: self._weights[name] for name in node.input if name in self._weights}
        graph = helper.make_graph(
            [node],
            "one",
            [_described(name, array) for name, array in fed.items()],
            [onnx.ValueInfoProto(name=node.output[0])],
            [numpy_helper.from_array(array, name) for name, array in kept.items()],
        )
        session = onnxruntime.InferenceSession(_model(graph), providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, fed)[0])

    def _run(self, value: str, pictures: np.ndarray, batch: int = 16) -> np.ndarray:
        """An inner value of the whole net, for more pictures than were seen."""
        import onnxruntime

        graph = helper.make_graph(
            self._nodes,
            "features",
            [_described("x", pictures)],
            [onnx.ValueInfoProto(name=value)],
            [numpy_helper.from_array(array, name) for name, array in self._weights.items()],
        )
        session = onnxruntime.InferenceSession(_model(graph), providers=["CPUExecutionProvider"])
        starts = range(0, len(pictures), batch)
        parts = [session.run(None, {"x": pictures[at : at + batch]})[0] for at in starts]
        return np.concatenate(parts)


def _described(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, [None] * array.ndim)


def _model(graph: onnx.GraphProto) -> bytes:
    imports = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    data: bytes = model.SerializeToString()
    return data
