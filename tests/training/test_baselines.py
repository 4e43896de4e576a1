"""The cheap baseline is a fair one, and gives way where it would cost too much."""

import numpy as np
import pytest

from training import baselines
from training.data.labelled_text import LabelledText

WORDS = (("sunny", "warm", "bright"), ("rainy", "cold", "dark"))


def _texts(count: int, seed: int) -> LabelledText:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    texts = tuple(" ".join(generator.choice(WORDS[label], 3)) for label in labels)
    return LabelledText(texts, labels.astype(np.int64))


def test_it_learns_what_is_easy_and_repeats_itself() -> None:
    train, test = _texts(80, 0), _texts(40, 1)
    predicted = baselines.tfidf_predictions(train, test.texts, seed=0)
    assert predicted is not None
    assert (predicted == test.labels).mean() == 1.0
    again = baselines.tfidf_predictions(train, test.texts, seed=0)
    assert np.array_equal(predicted, again if again is not None else [])


def test_it_gives_way_where_it_costs_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_MOST_CHARACTER_CLASSES", 100)
    assert baselines.tfidf_predictions(_texts(80, 0), ("warm",), seed=0) is None
