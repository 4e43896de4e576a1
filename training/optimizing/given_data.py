"""Rows and right answers from `--data`, for a bundle whose own data nobody here has: an imported one.

What can be judged follows from the task:

    sentence-embedding, image-embedding    texts or pictures, no labels: answers are compared with the
                                           reference's by their direction
    text-classification                    a table of text and label, or a folder of such, as for training
    image-classification                   a folder, archive or table of labelled pictures, as for training

Rows go through the bundle's own preprocessing. Half of them calibrate, the others judge; where the data has
splits of its own, its test split judges.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.blocks import ImagePreprocessing, TextPreprocessing
from models.bundle import Bundle
from models.errors import TextEmpty, UsageError
from models.manifest import Evaluation, TensorSpec
from models.transforms.text import TextEncoder, pad_batch
from training import metrics
from training.data.image_source import read_pictures
from training.data.images import normalise
from training.data.text_table import load_text_table
from training.errors import DataError
from training.work import Array, Arrays, Predict

_BATCH = 32
_MOST_ROWS = 2000
_LEAST_ROWS = 8
_TEXT_SUFFIXES = (".txt", ".tsv", ".csv", ".jsonl")


@dataclass(frozen=True)
class GivenData:
    """Batches of rows. `labels` int64 [N] of the judging rows; None where directions are compared."""

    name: str
    calibrating: list[Arrays]
    judging: list[Arrays]
    labels: Array | None = None

    def scores(self, predict: Predict, reference: Sequence[Array] | None) -> Array:
        """For each judging row whether it is right, or the cosine with the reference's answer."""
        answers = [next(iter(predict(batch).values())) for batch in self.judging]
        if self.labels is not None:
            said = np.concatenate([answer.argmax(axis=-1) for answer in answers])
            return np.asarray(said == self.labels)
        assert reference is not None
        pairs = zip(answers, reference, strict=True)
        return np.concatenate([_cosines(left, right) for left, right in pairs])

    def evaluation(self, scores: Array) -> Evaluation:
        count = len(scores)
        if self.labels is not None:
            right = int(scores.sum())
            interval = metrics.wilson_interval(right, count)
            metric = "accuracy"
        else:
            interval = metrics.bootstrap_interval(scores, lambda rows: float(rows.mean()), 0)
            metric = "cosine"
        return Evaluation(
            dataset=self.name,
            split="given",
            metric=metric,
            value=float(scores.mean()),
            interval=interval,
            samples=count,
        )


def read_given(bundle: Bundle, path: Path) -> GivenData:
    """Raises DataError for what cannot be read, UsageError for a task that no data can judge here."""
    if not path.exists():
        raise DataError(f"--data {path}: no such file or folder")
    task = bundle.manifest.task
    reader = _READERS.get(task)
    if reader is None:
        raise UsageError(
            f"{bundle.name} was imported, and no data can judge a model of task {task} here (known: "
            f"{', '.join(_READERS)}): leave --data out to try what changes no weights, or give rows to "
            "compare with --calibration FILE.npz"
        )
    return reader(bundle, path)


def _labelled_texts(bundle: Bundle, path: Path) -> GivenData:
    data = load_text_table(path)
    labels = _labels(bundle, path, data.classes, data.test.labels)
    encoder = _encoder(bundle)
    specs = bundle.manifest.inputs
    return GivenData(
        data.name,
        list(_texts(encoder, specs, data.validation.texts[:_MOST_ROWS])),
        list(_texts(encoder, specs, data.test.texts[:_MOST_ROWS])),
        labels[:_MOST_ROWS],
    )


def _plain_texts(bundle: Bundle, path: Path) -> GivenData:
    """A text a line, or of tables every cell that is one."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    files = [file for file in files if file.suffix.lower() in _TEXT_SUFFIXES]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    encoder = _encoder(bundle)
    texts = [
        text for text in dict.fromkeys(line.strip() for line in lines) if _reads(encoder, text)
    ]
    if len(texts) < _LEAST_ROWS:
        raise DataError(
            f"{path}: {len(texts)} texts are too few; a file ({', '.join(_TEXT_SUFFIXES)}) with one text a "
            f"line is expected, at least {_LEAST_ROWS} different ones"
        )
    texts = texts[:_MOST_ROWS]
    specs = bundle.manifest.inputs
    calibrating, judging = (list(_texts(encoder, specs, texts[start::2])) for start in (1, 0))
    return GivenData(path.stem, calibrating, judging)


def _labelled_pictures(bundle: Bundle, path: Path) -> GivenData:
    block = _picture_block(bundle)
    data = read_pictures(path).read(block, 0)
    labels = _labels(bundle, path, data.class_names, data.test.labels)
    learned = data.validation or data.train
    order = np.random.default_rng(0).permutation(len(learned))[:_MOST_ROWS]
    return GivenData(
        data.name,
        list(_pictures(learned.pixels[order], block, bundle)),
        list(_pictures(data.test.pixels[:_MOST_ROWS], block, bundle)),
        labels[:_MOST_ROWS],
    )


def _plain_pictures(bundle: Bundle, path: Path) -> GivenData:
    block = _picture_block(bundle)
    data = read_pictures(path, is_open=True).read(block, 0)
    return GivenData(
        data.name,
        list(_pictures(data.train.pixels[:_MOST_ROWS], block, bundle)),
        list(_pictures(data.test.pixels[:_MOST_ROWS], block, bundle)),
    )


_READERS: dict[str, Callable[[Bundle, Path], GivenData]] = {
    "sentence-embedding": _plain_texts,
    "image-embedding": _plain_pictures,
    "text-classification": _labelled_texts,
    "image-classification": _labelled_pictures,
}


def _labels(bundle: Bundle, path: Path, classes: Sequence[str], labels: Array) -> Array:
    """The data's labels as the bundle numbers them. Raises DataError for one that it does not know."""
    known = {name: row for row, name in enumerate(bundle.labels("labels.txt"))}
    strange = [name for name in classes if name not in known]
    if strange:
        raise DataError(
            f"{path}: {bundle.name} knows no class {strange[0]!r}; its labels are "
            f"{', '.join(list(known)[:10])}"
        )
    return np.array([known[name] for name in classes])[labels]


def _encoder(bundle: Bundle) -> TextEncoder:
    block = bundle.manifest.preprocessing
    assert isinstance(block, TextPreprocessing)
    return TextEncoder(bundle.read_text(block.tokenizer), block)


def _reads(encoder: TextEncoder, text: str) -> bool:
    try:
        encoder.encode(text)
    except TextEmpty:
        return False
    return True


def _texts(
    encoder: TextEncoder, specs: Sequence[TensorSpec], texts: Sequence[str]
) -> Iterator[Arrays]:
    """In batches of similar length would be quicker; in order is what the labels stand in."""
    for start in range(0, len(texts), _BATCH):
        yield dict(pad_batch(encoder.encode_batch(texts[start : start + _BATCH]), specs))


def _picture_block(bundle: Bundle) -> ImagePreprocessing:
    block = bundle.manifest.preprocessing
    assert isinstance(block, ImagePreprocessing)
    return block


def _pictures(pixels: Array, block: ImagePreprocessing, bundle: Bundle) -> Iterator[Arrays]:
    [spec] = bundle.manifest.inputs
    for start in range(0, len(pixels), _BATCH):
        yield {spec.name: normalise(pixels[start : start + _BATCH], block)}


def _cosines(left: Array, right: Array) -> Array:
    left, right = (side.reshape(len(side), -1).astype(np.float64) for side in (left, right))
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / np.where(lengths == 0, 1, lengths))
