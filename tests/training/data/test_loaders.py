"""Loaders hand out every row once an epoch, whole batches at a time."""

import numpy as np
import torch

from training.data.loaders import array_loader

ROWS = np.arange(10, dtype=np.int64)


def test_in_order_every_row_comes_once_with_its_partner() -> None:
    batches = list(array_loader(ROWS, ROWS * 2, batch_size=4, shuffle=False))
    assert [len(first) for first, _ in batches] == [4, 4, 2]
    assert torch.cat([first for first, _ in batches]).tolist() == ROWS.tolist()
    assert all(torch.equal(first * 2, second) for first, second in batches)


def test_shuffled_batches_are_full_and_repeat_with_the_seed() -> None:
    orders = []
    for _ in range(2):
        torch.manual_seed(1)
        orders.append(
            [first.tolist() for (first,) in array_loader(ROWS, batch_size=4, shuffle=True)]
        )
    assert orders[0] == orders[1]
    assert [len(batch) for batch in orders[0]] == [4, 4]


def test_fewer_rows_than_a_batch_still_train() -> None:
    (batch,) = array_loader(ROWS, batch_size=64, shuffle=True)
    assert len(batch[0]) == 10
