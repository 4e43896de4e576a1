"""Data that somebody gives judge an imported model, in its own words and through its own preprocessing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.blocks import (
    ClassificationPostprocessing,
    EmbeddingPostprocessing,
    ImagePreprocessing,
    TextPreprocessing,
)
from models.bundle import Bundle
from models.datatypes import DataType
from models.errors import UsageError
from models.manifest import ManifestDraft, TensorSpec
from models.publish import publish
from training.data.text_tokenizer import fit_tokenizer
from training.errors import DataError
from training.optimizing.given_data import read_given
from training.optimizing.of_bundle import BundleSubject
from training.work import Array, Arrays

TEXTS = [f"{word} number {number}" for number in range(10) for word in ("good", "bad")]
_IDS = [
    TensorSpec(name=name, dtype=DataType.INT64, shape=("batch", "sequence"), pad_axes=("sequence",))
    for name in ("input_ids", "attention_mask")
]
_IMAGE = TensorSpec(name="image", dtype=DataType.FLOAT, shape=("batch", 1, 8, 8))


def bundle_of(folder: Path, task: str, labels: str = "bad\ngood\n") -> Bundle:
    """Nothing here runs its graph."""
    staged = folder / "staged"
    staged.mkdir()
    (staged / "model.onnx").write_bytes(b"graph")
    (staged / "labels.txt").write_text(labels)
    (staged / "tokenizer.json").write_text(fit_tokenizer(TEXTS, 300, lowercase=True).to_str())
    np.savez(
        staged / "golden.npz",
        **{"input.image": np.zeros((3, 1, 8, 8)), "output.y": np.ones(3)},  # type: ignore[arg-type]
    )
    is_text = not task.startswith("image")
    is_embedding = task.endswith("embedding")
    block = ImagePreprocessing(input="image", height=8, width=8, channel_order="L")
    draft = ManifestDraft(
        name="given",
        task=task,
        inputs=tuple(_IDS) if is_text else (_IMAGE,),
        outputs=(TensorSpec(name="y", dtype=DataType.FLOAT, shape=("batch", 2)),),
        preprocessing=TextPreprocessing(max_tokens=16) if is_text else block,
        postprocessing=EmbeddingPostprocessing()
        if is_embedding
        else ClassificationPostprocessing(),
    )
    return publish(folder / "models", draft, staged)


def sizes(batches: list[Arrays]) -> int:
    return sum(len(next(iter(batch.values()))) for batch in batches)


def test_texts_without_labels_calibrate_and_judge_by_direction(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join([*TEXTS, "", TEXTS[0]]))
    given = read_given(bundle_of(tmp_path, "sentence-embedding"), tmp_path / "texts.txt")
    assert (sizes(given.calibrating), sizes(given.judging), given.labels) == (10, 10, None)

    def vectors(inputs: Mapping[str, Array]) -> Arrays:
        return {"y": np.stack([inputs["input_ids"].sum(axis=1), np.ones(10)], axis=1)}

    reference = [vectors(batch)["y"] for batch in given.judging]
    assert given.evaluation(given.scores(vectors, reference)).value == pytest.approx(1.0)
    turned = [np.stack([row[:, 1], -row[:, 0]], axis=1) for row in reference]
    figure = given.evaluation(given.scores(vectors, turned))
    assert (figure.metric, figure.samples) == ("cosine", 10)
    assert figure.value == pytest.approx(0.0, abs=1e-9)


def test_a_table_of_labelled_texts_judges_a_classifier(tmp_path: Path) -> None:
    lines = [f"{text}\t{text.split()[0]}" for text in TEXTS]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n")
    given = read_given(bundle_of(tmp_path, "text-classification"), tmp_path / "rows.tsv")
    assert given.labels is not None
    assert sizes(given.judging) == len(given.labels) > 0

    def always_good(inputs: Mapping[str, Array]) -> Arrays:
        return {"y": np.tile([0.0, 1.0], (len(inputs["input_ids"]), 1))}

    right = given.scores(always_good, None)
    assert right.tolist() == (given.labels == 1).tolist()  # labels.txt has good second
    assert given.evaluation(right).metric == "accuracy"


def test_labelled_pictures_judge_a_classifier_of_pictures(tmp_path: Path) -> None:
    for name, level in (("bad", 10), ("good", 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            picture = Image.fromarray(np.full((9, 9), level + number, np.uint8))
            picture.save(tmp_path / "pictures" / name / f"{number}.png")
    given = read_given(bundle_of(tmp_path, "image-classification"), tmp_path / "pictures")

    def by_brightness(inputs: Mapping[str, Array]) -> Arrays:
        bright = inputs["image"].mean(axis=(1, 2, 3))
        return {"y": np.stack([0.5 - bright, bright - 0.5], axis=1)}

    assert given.evaluation(given.scores(by_brightness, None)).value == 1.0


def test_a_class_that_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    lines = [f"{text}\t{text.split()[0]}" for text in TEXTS]
    (tmp_path / "rows.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n")
    bundle = bundle_of(tmp_path, "text-classification", labels="bad\nfine\n")
    with pytest.raises(DataError, match="given knows no class 'good'; its labels are bad, fine"):
        read_given(bundle, tmp_path / "rows.tsv")


@pytest.mark.parametrize(
    ("task", "content", "error", "message"),
    [
        ("sentence-embedding", "one\ntwo\n", DataError, "2 texts are too few"),
        ("object-detection", "one\n", UsageError, "no data can judge a model of task object-det"),
        ("sentence-embedding", None, DataError, "no such file or folder"),
    ],
)
def test_what_cannot_judge_is_refused(
    task: str, content: str | None, error: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "given.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=message):
        read_given(bundle_of(tmp_path, task), path)


def test_without_data_a_bundle_says_why_its_weights_are_left_alone(tmp_path: Path) -> None:
    subject = BundleSubject(bundle_of(tmp_path, "image-embedding"), tmp_path, None, None)
    assert "without --data nothing says" in subject.why_not_evaluated
    assert subject.precisions() == ("fp32-optimized",)
    assert subject.evaluate(lambda inputs: {}) == ()
    assert len(subject.sample(7)["image"]) == 7
    assert subject.is_embedding
    assert list(subject.calibration()) == []
