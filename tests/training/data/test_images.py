"""Arrays of pictures are what the service's own function makes of them."""

import numpy as np
import pytest
from PIL import Image

from models.transforms.image import to_tensor
from training.data.image_source import prepare_images
from training.data.images import channel_statistics, normalise, stratified_rows
from training.tasks.image_settings import ImageConfig


def test_a_training_row_equals_what_the_service_makes_of_the_same_picture() -> None:
    images = prepare_images(None, ImageConfig(), 0.1, 0)
    rows = normalise(images.test.pixels[:5], images.block)
    for pixels, row in zip(images.test.pixels, rows, strict=False):
        served = to_tensor(Image.fromarray(pixels[0]), images.block)
        np.testing.assert_array_equal(row, served)


def test_the_splits_share_no_row_and_keep_every_class() -> None:
    images = prepare_images(None, ImageConfig(), 0.1, 0)
    sizes = [len(images.train), len(images.validation), len(images.test)]
    assert sum(sizes) == 1797
    for split in (images.train, images.validation, images.test):
        assert set(split.labels) == set(range(10))


def test_the_test_split_is_the_same_for_every_seed() -> None:
    first, other = (prepare_images(None, ImageConfig(), 0.1, seed) for seed in (0, 1))
    assert np.array_equal(first.test.pixels, other.test.pixels)
    assert not np.array_equal(first.validation.pixels, other.validation.pixels)


@pytest.mark.parametrize("side", [8, 16])
def test_the_digits_can_be_had_at_another_size(side: int) -> None:
    images = prepare_images(None, ImageConfig(side=side), 0.1, 0)
    assert images.train.pixels.shape[1:] == (1, side, side)
    assert images.block.channel_order == "L"
    assert len(images.block.mean) == 1


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    assert channel_statistics(np.full((4, 1, 2, 2), 51, dtype=np.uint8)) == ((0.2,), (1.0,))


def test_stratified_rows_hold_out_a_part_of_each_class_but_never_all() -> None:
    labels = np.repeat([0, 1, 2], [100, 10, 1])
    kept, held_out = stratified_rows(labels, 0.2, 5)
    assert np.bincount(labels[held_out], minlength=3).tolist() == [20, 2, 0]
    assert sorted([*kept, *held_out]) == list(range(111))
    again = stratified_rows(labels, 0.2, 5)
    assert np.array_equal(held_out, again[1])
