import pytest
import torch

from training.data.cut_paste import cut_paste

SIDE = 48


def pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(7))


def test_only_what_is_marked_was_changed() -> None:
    torch.manual_seed(0)
    given = pictures(64)
    changed, pasted = cut_paste(given)
    assert pasted.shape == (64, SIDE, SIDE)
    differs = (changed != given).any(dim=1)
    assert not differs[~pasted].any()
    # Pieces come from elsewhere: hardly a pixel of one equals what was there.
    assert differs[pasted].float().mean() > 0.99


def test_values_stay_those_of_pictures_and_the_given_ones_are_left_alone() -> None:
    torch.manual_seed(0)
    given = pictures(32)
    before = given.clone()
    changed, _ = cut_paste(given)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(given, before)


def test_a_part_of_the_pictures_stays_as_it_is_and_pieces_are_small() -> None:
    torch.manual_seed(0)
    _, pasted = cut_paste(pictures(400))
    shares = pasted.flatten(1).float().mean(dim=1)
    assert 0.15 < (shares == 0).float().mean() < 0.35
    assert shares.max() < 0.12
    assert (shares > 0.02).any()


@pytest.mark.parametrize("count", [1, 3])
def test_the_same_seed_pastes_the_same(count: int) -> None:
    torch.manual_seed(3)
    first = cut_paste(pictures(count))
    torch.manual_seed(3)
    second = cut_paste(pictures(count))
    third = cut_paste(pictures(count))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[1], third[1]) or not torch.equal(first[0], third[0])
