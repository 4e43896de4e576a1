"""Windows cover the stream once; epochs draw every window before any comes again."""

import numpy as np
import torch

from training.data.windows import EpochBatches, Windows, window_loader


def test_windows_cover_the_stream_and_share_one_token() -> None:
    windows = Windows([np.arange(10), np.arange(10, 23)], length=5)
    rows = windows[list(range(len(windows)))]
    assert rows.tolist() == [list(range(start, start + 6)) for start in (0, 5, 10, 15)]


def test_epochs_draw_every_window_once_before_any_again() -> None:
    batches = EpochBatches(range(10, 20), size=4, batch_size=3, seed=1)
    seen = []
    for epoch in range(5):
        batches.set_epoch(epoch)
        drawn = list(batches)
        assert [len(batch) for batch in drawn] == [3, 1]
        assert len(batches) == 2
        seen += [row for batch in drawn for row in batch]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10, 20))
    assert seen[:10] != seen[10:]


def test_an_epoch_is_the_same_whenever_it_is_drawn() -> None:
    first, again = (EpochBatches(range(50), 20, 8, seed=4) for _ in range(2))
    first.set_epoch(2)
    list(first)
    again.set_epoch(2)
    assert list(first) == list(again)


def test_epoch_may_be_longer_than_the_text() -> None:
    rows = [row for batch in EpochBatches(range(3), 7, 2, seed=0) for row in batch]
    assert sorted(rows[:3]) == sorted(rows[3:6]) == [0, 1, 2]


def test_loader_yields_whole_batches() -> None:
    windows = Windows([np.arange(100)], length=7)
    loader = window_loader(windows, EpochBatches(range(len(windows)), 6, 4, seed=0))
    assert [tuple(batch.shape) for batch in loader] == [(4, 8), (2, 8)]
    assert all(batch.dtype == torch.int64 for batch in loader)
