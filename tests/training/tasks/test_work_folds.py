"""Every kind of work with folds divides its own items: nothing is lost, nothing leaks into the judging."""

from itertools import chain
from typing import Any

import numpy as np
import pytest

from models.errors import UsageError
from training import recipes
from training.data.image_source import fold_of as fold_of_images
from training.tasks.image_classification import ImageClassificationWork
from training.tasks.object_detection import ObjectDetectionWork
from training.tasks.pair_work import PairWork
from training.tasks.question_answering import QuestionAnsweringWork
from training.tasks.semantic_segmentation import SemanticSegmentationWork
from training.tasks.text_classification import TextClassificationWork
from training.tasks.token_classification import TokenClassificationWork
from training.work import Work

SMALL_SCENES = ("scenes.train=12", "scenes.validation=6", "scenes.test=4")
SMALL_PAIRS = ("paraphrases.train=40", "paraphrases.validation=20", "paraphrases.test=20")


def work_of(recipe: str, *settings: str) -> Work[Any]:
    from training.settings import with_settings

    entry = recipes.get(recipe)
    config = with_settings(entry.build_config(), settings)
    work = entry.work_class()(config, None)
    work.prepare()
    return work


def items(work: Work[Any], split: str) -> list[bytes]:
    if isinstance(work, ImageClassificationWork):
        part = getattr(work.images, split)
        return [
            row.tobytes() + bytes([label])
            for row, label in zip(part.pixels, part.labels, strict=True)
        ]
    if isinstance(work, TextClassificationWork):
        texts = getattr(work.texts, split)
        return [
            f"{text}{label}".encode() for text, label in zip(texts.texts, texts.labels, strict=True)
        ]
    if isinstance(work, PairWork):
        pairs = getattr(work.texts, split)
        columns = (pairs.first, pairs.second, pairs.negatives or pairs.first)
        return [repr(row).encode() for row in zip(*columns, strict=True)]
    if isinstance(work, SemanticSegmentationWork):
        part = getattr(work.prepared, split)
        return [p.tobytes() + m.tobytes() for p, m in zip(part.pixels, part.masks, strict=True)]
    if isinstance(work, ObjectDetectionWork):
        part = getattr(work.prepared, split)
        return [
            pixels.tobytes() + boxes[labels >= 0].tobytes() + labels[labels >= 0].tobytes()
            for pixels, boxes, labels in zip(part.pixels, part.boxes, part.labels, strict=True)
        ]
    assert isinstance(work, TokenClassificationWork | QuestionAnsweringWork)
    return [repr(sentence).encode() for sentence in getattr(work.texts, split)]


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("digits", ()),
        ("text-bag", ("sentences=opinions", "opinions.train=40", "opinions.validation=10")),
        ("entities", ("sentences.train=40", "sentences.validation=10", "sentences.test=8")),
        ("answers", ("facts.train=40", "facts.validation=10", "facts.test=8")),
        ("sentences", SMALL_PAIRS),
        ("reranker", SMALL_PAIRS),
        ("detection", SMALL_SCENES),
        ("segmentation", SMALL_SCENES),
    ],
)
def test_folds_hold_all_that_is_not_for_testing_each_once(
    recipe: str, settings: tuple[str, ...]
) -> None:
    whole = work_of(recipe, *settings)
    given = sorted(items(whole, "train") + items(whole, "validation"))
    judged: list[bytes] = []
    for number in range(3):
        fold = whole.fold(number, 3)
        parts = [items(fold, split) for split in ("train", "validation", "test")]
        assert all(parts)
        assert sorted(chain(*parts)) == given
        judged += parts[2]
    assert sorted(judged) == given


def test_a_folds_network_is_new_and_ready_to_train() -> None:
    whole = work_of("text-bag", "sentences=opinions", "opinions.train=40", "opinions.validation=10")
    fold = whole.fold(0, 2)
    module = fold.lightning_module()
    assert whole.lightning_module().network is not module.network
    batch = next(iter(fold.train_loader()))
    assert module(*batch[:2]).shape[1] == 2


def test_a_fold_of_pictures_reads_its_checkpoint_anew() -> None:
    whole = work_of("image-pretrained", "shapes.train=60", "shapes.test=20")
    first, again = (whole.fold(0, 2).lightning_module() for _ in range(2))
    assert not {id(weight) for weight in first.parameters()} & {
        id(weight) for weight in again.parameters()
    }
    bodies = [module.get_submodule("network.backbone").state_dict() for module in (first, again)]
    assert all(value.equal(bodies[1][name]) for name, value in bodies[0].items())


def test_a_fold_is_normalised_by_its_own_training_pictures() -> None:
    whole = work_of("digits")
    assert isinstance(whole, ImageClassificationWork)
    fold = fold_of_images(whole.images, 0, 5, validation_fraction=0.1, seed=0)
    mean = fold.train.pixels.mean() / 255
    assert fold.block.mean == pytest.approx([mean], abs=1e-4)
    assert len(np.unique(fold.test.labels)) == 10


def test_work_that_makes_things_has_no_folds() -> None:
    work = recipes.get("digits-vae")
    with pytest.raises(UsageError, match="image-generation cannot be cross-validated"):
        work.work_class()(work.build_config(), None).fold(0, 2)
