from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from training.networks.cell_encoder import CELL_PIXELS, CellEncoder
from training.train import cpu_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


@pytest.mark.parametrize("side", [32, 48])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_cell_has_features_and_a_logit(side: int, batch: int) -> None:
    encoder = CellEncoder(width=4).eval()
    pictures, cells = torch.randn(batch, 3, side, side), side // CELL_PIXELS
    assert encoder(pictures).shape == (batch, cells, cells)
    assert encoder.cells(pictures).shape == (batch, encoder.features, cells, cells)


def test_a_cell_is_described_by_what_lies_around_it() -> None:
    torch.manual_seed(0)
    encoder = CellEncoder(width=4).eval()
    picture = torch.randn(1, 3, 128, 128)
    changed = picture.clone()
    changed[..., :8, :8] += 1
    differs = (encoder.cells(picture) - encoder.cells(changed)).abs().amax(dim=1)[0]
    assert differs[0, 0] > 1e-3
    assert differs[-8:, -8:].max() == 0


def test_one_pasted_place_is_learned_by_heart() -> None:
    torch.manual_seed(0)
    encoder = CellEncoder(width=4)
    pictures, target = torch.randn(2, 3, 32, 32), torch.zeros(2, 8, 8)
    target[1, :, 4:] = 1
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.02)
    for _ in range(40):
        loss = functional.binary_cross_entropy_with_logits(encoder(pictures), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert ((encoder(pictures) > 0) == target.bool()).float().mean() > 0.95
