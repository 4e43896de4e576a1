"""Every row comes once an epoch, beside rows of similar length, padded to the longest only."""

import numpy as np
import torch

from training.data.token_loader import TokenDropout, pad_rows, token_loader

GENERATOR = np.random.default_rng(0)
ROWS = [np.arange(1, 1 + n, dtype=np.int64) for n in GENERATOR.integers(1, 60, 500)]
LABELS = np.arange(500, dtype=np.int64)


def test_every_row_comes_once_with_its_label_and_mask() -> None:
    for shuffle in (True, False):
        seen = []
        for ids, mask, labels in token_loader(ROWS, LABELS, batch_size=32, shuffle=shuffle):
            assert mask.sum(dim=1).max() == ids.shape[1]
            for row, kept, label in zip(ids, mask, labels, strict=True):
                assert row[kept == 1].tolist() == ROWS[label].tolist()
                assert not row[kept == 0].any()
                seen.append(int(label))
        assert sorted(seen) == LABELS.tolist()


def test_similar_lengths_lie_together() -> None:
    loader = token_loader(ROWS, LABELS, batch_size=32, shuffle=True)
    filled = torch.cat([mask.flatten() for _, mask, _ in loader]).float().mean()
    assert filled > 0.85  # at random it would be near 0.5
    assert len(loader) == 16


def test_the_order_is_new_each_epoch_and_repeatable_by_seed() -> None:
    loader = token_loader(ROWS, LABELS, batch_size=32, shuffle=True)
    epochs = []
    for seed in (1, None, 1):
        if seed is not None:
            torch.manual_seed(seed)
        epochs.append(torch.cat([labels for _, _, labels in loader]).tolist())
    assert epochs[0] != epochs[1]
    assert epochs[0] == epochs[2]


def test_rows_are_cut_or_filled_to_a_given_length() -> None:
    ids, mask = pad_rows([np.array([5, 6, 7]), np.array([8])], 2)
    assert ids.tolist() == [[5, 6], [8, 0]]
    assert mask.tolist() == [[1, 1], [1, 0]]


def test_token_dropout_leaves_out_its_part_and_keeps_what_must_stay() -> None:
    torch.manual_seed(0)
    row = np.arange(1000, dtype=np.int64)
    dropout = TokenDropout(0.3, kept=(0, 999))
    kept = dropout(row)
    assert 0.6 < len(kept) / len(row) < 0.8
    assert (kept[0], kept[-1]) == (0, 999)
    assert np.all(np.diff(kept) > 0), "the order stays"
    assert not np.array_equal(dropout(row), kept), "drawn anew"


def test_token_dropout_never_empties_a_row() -> None:
    torch.manual_seed(0)
    dropout = TokenDropout(0.99, kept=(0,))
    for _ in range(50):
        left = dropout(np.array([0, 7, 8, 0], dtype=np.int64))
        assert (left != 0).any()
