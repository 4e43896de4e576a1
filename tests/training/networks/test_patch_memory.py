from collections.abc import Iterator

import pytest
import torch

from tests.training.networks.inspectors import SIDE, good_pictures, patch_memory
from training.networks import patch_memory as subject
from training.train import cpu_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_every_picture_has_a_score_and_a_map(batch: int) -> None:
    score, unusual = patch_memory()(torch.randn(batch, 3, SIDE, SIDE))
    assert score.shape == (batch,)
    assert unusual.shape == (batch, SIDE, SIDE)
    assert torch.isfinite(unusual).all()


def test_a_pictures_answer_does_not_depend_on_its_neighbours() -> None:
    memory, pictures = patch_memory(), torch.randn(4, 3, SIDE, SIDE)
    together = memory(pictures)[0]
    alone = torch.cat([memory(picture[None])[0] for picture in pictures])
    assert torch.allclose(together, alone, rtol=1e-4)


def test_what_was_never_seen_is_shown_where_it_is() -> None:
    memory, pictures = patch_memory(), good_pictures(4)
    usual = memory(pictures)[0]
    pictures[..., 20:28, 4:12] = 3
    score, unusual = memory(pictures)
    assert score.min() > 1.5 * usual.max()
    for map_ in unusual:
        row, column = divmod(int(map_.argmax()), SIDE)
        assert 16 <= row < 32
        assert column < 16


def test_what_is_remembered_whole_is_no_distance_away() -> None:
    """With every cell in memory and a single neighbour only the root's constant is left."""
    memory = patch_memory(size=10_000)
    memory._neighbours = 1
    assert len(memory.memory) == 12 * 8 * 8
    assert memory(good_pictures())[1].max() < 0.11


def test_features_are_whitened() -> None:
    memory = patch_memory()
    white = memory._white(memory._averaged(good_pictures())).flatten(0, 2)
    count = white.shape[1]
    assert torch.allclose(white.T.cov() * 2 * count, torch.eye(count), atol=0.02)


def test_the_seed_alone_decides_what_is_remembered() -> None:
    first, second, other = patch_memory(seed=1), patch_memory(seed=1), patch_memory(seed=2)
    assert torch.equal(first.memory, second.memory)
    assert not torch.equal(first.memory, other.memory)


def test_centres_lie_apart_and_none_is_chosen_twice() -> None:
    """Three far groups: whoever remembers three rows has one of each."""
    dice = torch.Generator().manual_seed(0)
    rows = torch.randn(300, 4, generator=dice) + 50 * torch.arange(300)[:, None] % 150
    groups = (torch.arange(300) * 50 % 150 // 50)[subject._centres(rows, 3, dice)]
    assert sorted(groups.tolist()) == [0, 1, 2]
    many = subject._centres(rows, 1000, dice)
    assert sorted(many.tolist()) == list(range(300))


def test_of_too_many_cells_all_are_equally_likely() -> None:
    dice, times = torch.Generator().manual_seed(0), torch.zeros(60)
    for _ in range(600):
        cells = torch.arange(60.0)[:, None]
        parts = [cells[:7], cells[7:30], cells[30:]]
        rows = subject._sampled(parts, 15, dice).flatten()
        assert len(set(rows.tolist())) == 15
        times[rows.long()] += 1
    assert (times / 600 - 0.25).abs().max() < 0.08


def test_few_cells_are_all_kept() -> None:
    parts = [torch.rand(3, 2), torch.rand(4, 2)]
    assert torch.equal(subject._sampled(parts, 7, torch.Generator()), torch.cat(parts))
