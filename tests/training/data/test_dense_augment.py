import numpy as np
import pytest
import torch

from training.data.boxed_pictures import NO_OBJECT
from training.data.dense_augment import (
    Move,
    change_colours,
    draw_move,
    move_boxes,
    move_masks,
    move_pixels,
)
from training.data.masked_pictures import IGNORED
from training.tasks.dense_settings import DenseAugmentConfig

SIDE = 64
CONFIG = DenseAugmentConfig(shift=0.2, smallest=0.6, largest=1.6, flip_probability=0.5)


def block(left: int, top: int, right: int, bottom: int) -> torch.Tensor:
    mask = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    mask[0, top:bottom, left:right] = 1
    return mask


@pytest.mark.parametrize("seed", range(12))
def test_pixels_masks_and_boxes_move_alike(seed: int) -> None:
    torch.manual_seed(seed)
    box, mask = (20, 24, 44, 40), block(20, 24, 44, 40)
    move = draw_move(1, CONFIG, torch.device("cpu"))
    pixels = move_pixels(mask.float().unsqueeze(1).expand(1, 3, SIDE, SIDE), move)
    moved = move_masks(mask, move)
    boxes, labels = move_boxes(torch.tensor([[box]]).float(), torch.tensor([[5]]), move, SIDE)
    rows, columns = np.nonzero(moved[0].numpy() == 1)
    around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert boxes[0, 0].tolist() == pytest.approx(around, abs=1.0)
    assert labels.tolist() == [[5]]
    lit = pixels[0, 0].numpy() > 0.5
    assert (lit != (moved[0].numpy() == 1)).mean() < 0.02


def test_what_a_shift_uncovers_is_black_and_unknown() -> None:
    right = Move(torch.ones(1, 2), torch.tensor([[0.5, 0.0]]))
    assert (move_masks(block(0, 0, SIDE, SIDE), right)[0, :, :16] == IGNORED).all()
    assert (move_masks(block(0, 0, SIDE, SIDE), right)[0, :, 16:] == 1).all()
    assert (move_pixels(torch.ones(1, 3, SIDE, SIDE), right)[..., :15] == 0).all()


def test_objects_that_are_moved_out_are_no_longer_looked_for() -> None:
    right = Move(torch.ones(1, 2), torch.tensor([[1.0, 0.0]]))  # by half the side
    boxes = torch.tensor([[[0.0, 0, 20, 20], [20, 0, 40, 20], [40, 0, 60, 20], [30, 0, 34, 9]]])
    labels = torch.tensor([[0, 1, 2, NO_OBJECT]])
    moved, kept = move_boxes(boxes, labels, right, SIDE)
    assert kept.tolist() == [[0, 1, NO_OBJECT, NO_OBJECT]]
    assert moved[0, 0].tolist() == [32, 0, 52, 20]
    assert moved[0, 1].tolist() == [52, 0, 64, 20]


def test_a_mirrored_box_is_still_a_box() -> None:
    mirror = Move(torch.tensor([[-1.0, 1.0]]), torch.zeros(1, 2))
    moved, _ = move_boxes(torch.tensor([[[4.0, 0, 20, 20]]]), torch.zeros(1, 1), mirror, SIDE)
    assert moved[0, 0].tolist() == [44, 0, 60, 20]


def test_without_changes_nothing_changes() -> None:
    still = DenseAugmentConfig(
        shift=0, smallest=1, largest=1, flip_probability=0, contrast=0, colour=0
    )
    pixels = torch.rand(2, 3, SIDE, SIDE)
    move = draw_move(2, still, torch.device("cpu"))
    torch.testing.assert_close(move_pixels(pixels, move), pixels, atol=1e-4, rtol=0)
    torch.testing.assert_close(change_colours(pixels, still), pixels, atol=1e-6, rtol=0)


def test_colours_stay_colours_and_lose_contrast() -> None:
    torch.manual_seed(0)
    pixels = torch.rand(8, 3, 16, 16)
    changed = change_colours(pixels, DenseAugmentConfig(contrast=0.9, colour=0.0))
    assert ((changed >= 0) & (changed <= 1)).all()
    assert (changed.std(dim=(1, 2, 3)) < pixels.std(dim=(1, 2, 3))).all()
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3)), pixels.mean(dim=(1, 2, 3)))
