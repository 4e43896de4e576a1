import numpy as np
import pytest

from training.data.paraphrases import HIGHEST_SCORE, load_paraphrases
from training.data.text_pairs import Kind, Pairs


@pytest.mark.parametrize("kind", ["positive", "scored", "triplet"])
def test_there_are_as_many_rows_as_asked_for_and_all_follow_from_the_seed(kind: Kind) -> None:
    data, again, other = (load_paraphrases(seed, kind, 30, 5, 10) for seed in (1, 1, 2))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [30, 5, 10]
    assert data.sha256() == again.sha256() != other.sha256()


def test_pairs_are_told_in_two_ways() -> None:
    train = load_paraphrases(0, "positive", 200).train
    assert all(a != b for a, b in zip(train.first, train.second, strict=True))
    assert not train.negatives
    assert not len(train.scores)


def test_scores_say_how_many_parts_are_shared() -> None:
    scores = load_paraphrases(0, "scored", 300).train.scores
    assert set(np.unique(scores)) == set(range(HIGHEST_SCORE + 1))


def test_beside_pairs_without_scores_there_are_graded_ones() -> None:
    graded = load_paraphrases(0, "triplet", 10, 5, 20).graded
    assert isinstance(graded, Pairs)
    assert len(graded.scores) == 20
    assert load_paraphrases(0, "scored", 10, 5, 20).graded is None


def test_no_two_splits_share_a_sentence() -> None:
    data = load_paraphrases(3, "positive", 400, 50, 100)
    first = [set(part.first) for part in (data.train, data.validation, data.test)]
    assert not first[0] & first[2]
    assert not first[0] & first[1]


def test_rows_that_are_taken_keep_what_belongs_to_them() -> None:
    train = load_paraphrases(0, "triplet", 10).train
    taken = train.take(np.array([3, 1]))
    assert taken.first == (train.first[3], train.first[1])
    assert taken.negatives == (train.negatives[3], train.negatives[1])
