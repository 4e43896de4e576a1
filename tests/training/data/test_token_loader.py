"""Every row comes once an epoch, beside rows of similar length, padded to the longest only."""

import numpy as np
import torch

from training.data.token_loader import pad_rows, token_loader

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
