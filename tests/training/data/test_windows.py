"""Windows cover the text, every one before any comes again; a resumed epoch goes on where it stood."""

import itertools

import numpy as np
import torch

from training.data.windows import EpochBatches, ResumableLoader, ShiftedStarts, Windows


def test_windows_read_consecutive_tokens_and_predict_the_next() -> None:
    windows = Windows([np.arange(10), np.arange(10, 23)], length=5)
    ids, targets = windows[[0, 7, 17]]
    assert ids.tolist() == [list(range(start, start + 5)) for start in (0, 7, 17)]
    assert targets.tolist() == (ids + 1).tolist()
    assert len(windows) == 4


def test_epochs_draw_every_item_once_before_any_again() -> None:
    batches = EpochBatches(10, size=4, batch_size=3, seed=1)
    seen = []
    for epoch in range(5):
        batches.set_epoch(epoch)
        drawn = list(batches)
        assert [len(batch) for batch in drawn] == [3, 1]
        assert len(batches) == 2
        seen += [row for batch in drawn for row in batch]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_an_epoch_is_the_same_whenever_it_is_drawn() -> None:
    first, again = (EpochBatches(50, 20, 8, seed=4) for _ in range(2))
    first.set_epoch(2)
    list(first)
    again.set_epoch(2)
    assert list(first) == list(again)


def test_epoch_may_be_longer_than_the_text() -> None:
    rows = [row for batch in EpochBatches(3, 7, 2, seed=0) for row in batch]
    assert sorted(rows[:3]) == sorted(rows[3:6]) == [0, 1, 2]


def test_processes_share_every_batch_and_take_as_many_steps() -> None:
    whole = [set(batch) for batch in EpochBatches(40, 24, 8, seed=2)]
    parts = [list(EpochBatches(40, 26, 4, seed=2, part=(rank, 2))) for rank in range(2)]
    assert [len(part) for part in parts] == [3, 3]
    for both, first, second in zip(whole, *parts, strict=True):
        assert len(first) == len(second) == 4
        assert set(first) | set(second) == both


def test_a_resumed_epoch_goes_on_at_the_next_batch() -> None:
    kept, resumed = (EpochBatches(50, 20, 4, seed=4) for _ in range(2))
    kept.set_epoch(1)
    whole = list(kept)
    kept.set_epoch(1)
    begun = list(itertools.islice(iter(kept), 2))
    resumed.load_state_dict(kept.state_dict())
    resumed.set_epoch(1)
    assert begun + list(resumed) == whole
    resumed.set_epoch(2)
    assert len(list(resumed)) == 5


def test_shifted_windows_stay_within_the_text_and_begin_elsewhere_every_turn() -> None:
    length, tokens = 5, 43
    batches = ShiftedStarts(tokens, length, size=7, batch_size=7, seed=3)
    shifts = set()
    for epoch in range(12):
        batches.set_epoch(epoch)
        [starts] = list(batches)
        assert len(set(starts)) == 7
        assert min(starts) >= 0
        assert max(starts) + length + 1 <= tokens
        assert len({start % length for start in starts}) == 1
        shifts.add(starts[0] % length)
    assert len(shifts) > 2


def test_loader_yields_whole_batches() -> None:
    windows = Windows([np.arange(100)], length=7)
    loader = ResumableLoader(windows, ShiftedStarts(100, 7, 6, 4, seed=0))
    assert [tuple(ids.shape) for ids, _ in loader] == [(4, 7), (2, 7)]
    assert all(targets.dtype == torch.int64 for _, targets in loader)
