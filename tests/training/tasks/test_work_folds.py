"""Every kind of work with folds divides its own items: nothing is lost, nothing leaks into the judging."""

from itertools import chain
from typing import Any

import numpy as np
import pytest

from models.errors import UsageError
from training import recipes
from training.data.image_source import fold_of as fold_of_images
from training.tasks.image_classification import ImageClassificationWork
from training.tasks.text_classification import TextClassificationWork
from training.tasks.token_classification import TokenClassificationWork
from training.work import Work


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
    assert isinstance(work, TokenClassificationWork)
    return [repr(sentence).encode() for sentence in getattr(work.texts, split)]


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("digits", ()),
        ("text-bag", ("sentences=opinions", "opinions.train=40", "opinions.validation=10")),
        ("entities", ("sentences.train=40", "sentences.validation=10", "sentences.test=8")),
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
    batch = next(iter(fold.train_loader()))
    assert module(*batch[:2]).shape[1] == 2


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
