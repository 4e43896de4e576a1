import numpy as np
import torch

from models.blocks import TextPreprocessing
from models.transforms.text import TextEncoder
from tests.service.bundles import byte_tokenizer
from training.data.cross_loader import TARGETS, CrossRows, cross_loader
from training.data.pair_loader import RowBatches, pair_loader, text_numbers
from training.data.text_pairs import Pairs

ENCODER = TextEncoder(byte_tokenizer(), TextPreprocessing(max_tokens=32, is_pair=True))


def test_each_text_has_its_own_padding() -> None:
    first, second = ("a", "abc", "ab"), ("abcd", "a", "b")
    rows = {"first": ENCODER.encode_batch(first), "second": ENCODER.encode_batch(second)}
    more = {"scores": np.array([0, 0.5, 1], np.float32)}
    [batch] = list(pair_loader(rows, more, batch_size=8, shuffle=False))
    assert batch["first_input_ids"].shape == (3, 3)
    assert batch["second_attention_mask"].sum(1).tolist() == [4, 1, 1]
    assert batch["scores"].tolist() == [0, 0.5, 1]


def test_every_row_comes_once_and_none_alone() -> None:
    batches = list(RowBatches(9, 4, shuffle=True))
    assert sorted(row for batch in batches for row in batch) == list(range(9))
    assert sorted(map(len, batches)) == [4, 5]
    assert len(RowBatches(9, 4, shuffle=True)) == 2
    assert list(RowBatches(1, 4, shuffle=False)) == [[0]]


def test_the_shuffle_follows_torchs_seed() -> None:
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(list(RowBatches(20, 5, shuffle=True)))
    assert drawn[0] == drawn[1] != drawn[2]


def test_equal_texts_have_equal_numbers() -> None:
    first, second = text_numbers(("a", "b", "a"), ("b", "c", "c"))
    assert first[0] == first[2] != first[1]
    assert first[1] == second[0]
    assert second[1] == second[2]


def cross(pairs: Pairs, negatives: int = 3) -> CrossRows:
    low, high = (
        (float(pairs.scores.min()), float(pairs.scores.max())) if len(pairs.scores) else (0.0, 1.0)
    )
    return CrossRows(pairs, ENCODER, score_range=(low, high), negatives=negatives)


def test_scored_pairs_become_targets_from_nought_to_one() -> None:
    pairs = Pairs(("a", "b", "c"), ("x", "y", "z"), np.array([1, 3, 5], np.float32))
    [batch] = list(cross_loader(cross(pairs), batch_size=8, shuffle=False))
    assert batch[TARGETS].tolist() == [0, 0.5, 1]
    assert batch["input_ids"].shape == (3, 2)


def test_a_triplet_brings_its_own_wrong_text_and_others_that_are_never_right() -> None:
    pairs = Pairs(("q", "q", "r"), ("one", "two", "three"), negatives=("n", "n", "n"))
    rows = cross(pairs, negatives=8)
    for _ in range(20):
        batch = rows[[0]]
        targets = batch[TARGETS].tolist()
        assert targets[:2] == [1, 0]
        assert not any(targets[1:])
        # Seconds of q's own rows are right: only "three" may be drawn against it.
        lengths = batch["attention_mask"].sum(1).tolist()
        assert set(lengths[2:]) <= {1 + len("three")}
