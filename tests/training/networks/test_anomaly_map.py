from collections.abc import Iterator

import pytest
import torch

from training.networks.anomaly_map import AnomalyMap
from training.train import cpu_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


@pytest.mark.parametrize(("height", "width"), [(24, 24), (16, 40)])
def test_the_map_has_the_pictures_size_and_the_score_is_its_peak(height: int, width: int) -> None:
    last = AnomalyMap(height, width, deviation_pixels=1.5)
    for batch in (1, 3):
        score, unusual = last(torch.rand(batch, 6, 6))
        assert unusual.shape == (batch, height, width)
        assert torch.equal(score, unusual.flatten(1).max(dim=1).values)


@pytest.mark.parametrize("deviation", [0.3, 1.5, 16.0])
def test_what_is_the_same_everywhere_stays_so_up_to_the_edges(deviation: float) -> None:
    _, unusual = AnomalyMap(16, 16, deviation)(torch.full((1, 4, 4), 2.5))
    assert torch.allclose(unusual, torch.full_like(unusual, 2.5), atol=1e-5)


def test_the_peak_lies_where_it_was_and_is_spread() -> None:
    cells = torch.zeros(1, 8, 8)
    cells[0, 2, 5] = 1
    _, narrow = AnomalyMap(32, 32, 1.0)(cells)
    score, wide = AnomalyMap(32, 32, 4.0)(cells)
    row, column = divmod(int(wide[0].argmax()), 32)
    assert (row // 4, column // 4) == (2, 5)
    assert 0 < score < narrow.max() < 1
    assert torch.isclose(wide.sum(), narrow.sum(), rtol=0.05)
