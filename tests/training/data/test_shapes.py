"""Drawn shapes: repeatable, balanced, apart from each other, and told by their shape alone."""

import numpy as np

from training.data.shapes import CLASS_NAMES, SHAPES, draw_shape, read_shapes


def test_the_first_pictures_are_the_same_however_many_are_asked_for() -> None:
    few, many = read_shapes(20, 10, 16), read_shapes(40, 20, 16)
    assert np.array_equal(few.train.pixels, many.train.pixels[:20])
    assert np.array_equal(few.test.pixels, many.test.pixels[:10])
    assert few.sha256 != many.sha256
    assert few.sha256 == read_shapes(20, 10, 16).sha256


def test_classes_take_turns_and_splits_share_no_picture() -> None:
    data = read_shapes(200, 100, 16)
    assert data.class_names == CLASS_NAMES
    assert np.bincount(data.train.labels).tolist() == [20] * len(CLASS_NAMES)
    seen = {row.tobytes() for row in data.train.pixels}
    assert len(seen) == 200
    assert not seen & {row.tobytes() for row in data.test.pixels}
    assert data.train.pixels.shape == (200, 3, 16, 16)
    assert data.train.pixels.dtype == np.uint8


def test_colours_do_not_tell_the_class() -> None:
    """A straight line through the mean colours finds nothing: chance is a tenth."""
    from sklearn.linear_model import LogisticRegression

    data = read_shapes(600, 300, 16)
    colours = [split.pixels.mean(axis=(2, 3)) / 255 for split in (data.train, data.test)]
    model = LogisticRegression().fit(colours[0], data.train.labels)
    assert (model.predict(colours[1]) == data.test.labels).mean() < 0.2


def test_every_shape_stands_out_and_looks_like_no_other() -> None:
    """As masks in their own frame."""
    steps = np.linspace(-1.2, 1.2, 49)
    x, y = np.meshgrid(steps, steps)
    masks = [shape(x, y) for shape in SHAPES.values()]
    for index, mask in enumerate(masks):
        assert 0.05 < mask.mean() < 0.7
        for other in masks[index + 1 :]:
            assert (mask ^ other).mean() > 0.04


def test_a_picture_has_any_side() -> None:
    picture = draw_shape(3, 48, np.random.default_rng(0))
    assert picture.shape == (3, 48, 48)
    assert picture.std() > 5
