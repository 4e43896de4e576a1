"""The models whose speed-ups are measured: how each is made, on what it is judged, how it is asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.graphs import digits_cnn, mlp, resnets, sentence_encoder, vit
from benchmarks.graphs.optimized import Arrays, Recipe, in_batches
from benchmarks.graphs.pictures import Pictures, digits
from benchmarks.harness.failures import NotAvailable
from benchmarks.harness.options import Options
from models.blocks import TensorPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.manifest import Batching, ManifestDraft, TensorSpec

_REAL_SECONDS = 1.0  # shorter measurements prove that everything runs, and get fewer rows
_FIT_SEED, _CALIBRATE_SEED, _JUDGE_SEED = 1, 2, 3
_PAD_BATCH = 16


@dataclass(frozen=True)
class Model:
    """`at_least`: speed-up by default; `at_least_plain`: without OpenVINO; None: no target. `is_quick`: asked
    with wrk, since a load generator in Python would be what limits it."""

    key: str
    title: str
    recipe: Callable[[Options], Recipe]
    connections: int
    at_least: float
    at_least_plain: float | None = None
    is_quick: bool = False

    @property
    def is_judged_by_labels(self) -> bool:
        return isinstance(self.recipe, _Reader)


def _rows(options: Options, usual: int) -> int:
    return usual if options.seconds >= _REAL_SECONDS else 32


def _draft(name: str, sizes: Sequence[int], columns: int, most: int) -> ManifestDraft:
    return ManifestDraft(
        name=name,
        task="tensor",
        inputs=(TensorSpec(name="x", dtype=DataType.FLOAT, shape=("batch", *sizes)),),
        outputs=(TensorSpec(name="y", dtype=DataType.FLOAT, shape=("batch", columns)),),
        preprocessing=TensorPreprocessing(),
        postprocessing=TensorPostprocessing(),
        batching=Batching(max_batch_size=most),
    )


@dataclass(frozen=True)
class _Reader:
    """A network that reads drawn digits. `fitted`: pictures for its last layer."""

    name: str
    side: int
    channels: int
    columns: int
    most: int
    graph: Callable[[Pictures], bytes]
    fitted: int
    judged: int = 256

    def __call__(self, options: Options) -> Recipe:
        fitted, judged = (_rows(options, usual) for usual in (self.fitted, self.judged))
        draw = partial(digits, side=self.side, channels=self.channels)
        judging = draw(judged, seed=_JUDGE_SEED)
        calibrating = draw(_rows(options, 96), seed=_CALIBRATE_SEED)
        return Recipe(
            draft=_draft(self.name, (self.channels, self.side, self.side), self.columns, self.most),
            graph=lambda: self.graph(draw(fitted, seed=_FIT_SEED)),
            calibrating=in_batches(calibrating.pixels),
            judging=in_batches(judging.pixels),
            asked=in_batches(judging.pixels, 1),
            labels=judging.labels,
            size=f"{fitted}-{judged}",
        )


def _perceptron(options: Options) -> Recipe:
    """Random weights, normal numbers: its answers are compared by their direction."""
    count = _rows(options, 256)
    rows = np.random.default_rng(_JUDGE_SEED).standard_normal((count, mlp.WIDTH))
    judging = rows.astype(np.float32)
    calibrating = mlp.mlp_input(_rows(options, 96))
    return Recipe(
        draft=_draft("mlp", (mlp.WIDTH,), 10, 64),
        graph=mlp.mlp_graph,
        calibrating=in_batches(calibrating),
        judging=in_batches(judging),
        asked=in_batches(judging, 1),
        labels=None,
        size=str(count),
    )


def _encoder(options: Options) -> Recipe:
    missing = sentence_encoder.missing_package()
    if missing:
        raise NotAvailable(f"the package {missing} is not installed: make bench installs it")
    count = _rows(options, 128)
    asked = sentence_encoder.tokens(sentence_encoder.texts(count, _JUDGE_SEED))
    calibrating = sentence_encoder.tokens(sentence_encoder.texts(64, _CALIBRATE_SEED))
    return Recipe(
        draft=sentence_encoder.draft(),
        graph=lambda: sentence_encoder.exported(options.cache).read_bytes(),
        calibrating=_padded(calibrating),
        judging=_padded(asked),
        asked=asked,
        labels=None,
        size=str(count),
        more=("onnxruntime:int8-dynamic",),
    )


def _padded(rows: Sequence[Arrays]) -> list[Arrays]:
    """Batches of texts, each as long as its longest."""
    batches = [rows[start : start + _PAD_BATCH] for start in range(0, len(rows), _PAD_BATCH)]
    return [
        {name: _stacked([row[name] for row in batch]) for name in batch[0]} for batch in batches
    ]


def _stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    longest = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, longest - row.shape[1]))) for row in rows])


MODELS = (
    Model("resnet-50", "ResNet-50",
        _Reader("resnet-50", resnets.SIDE, 3, resnets.CLASSES, 8, partial(resnets.resnet, 50), 768, 512),
        8, 5.0, 2.5),
    Model("resnet-18", "ResNet-18",
        _Reader("resnet-18", resnets.SIDE, 3, resnets.CLASSES, 8, partial(resnets.resnet, 18), 768, 512),
        8, 4.0),
    Model("minilm", "MiniLM, 4–120 words mixed", _encoder, 32, 2.5, 1.3),
    Model("vit-small", "ViT-small",
        _Reader(vit.NAME, vit.SIDE, 3, vit.CLASSES, 8, vit.vit, 768, 512),
        8, 2.5),
    Model("cnn", "digits CNN",
        _Reader(digits_cnn.NAME, digits_cnn.SIDE, 1, digits_cnn.CLASSES, 64, digits_cnn.digits_cnn, 1024),
        16, 1.0, 1.0, is_quick=True),
    Model("mlp", "MLP", _perceptron, 16, 1.0, 1.0, is_quick=True),
)  # fmt: skip
