import numpy as np
import pytest

from training.data import scenes
from training.data.digits import read_digits

SIDE = 64


@pytest.fixture(scope="module")
def drawn() -> list[scenes.Scene]:
    return scenes.draw_scenes("train", 80, SIDE)


def test_scenes_are_repeated_and_do_not_depend_on_how_many_are_drawn(
    drawn: list[scenes.Scene],
) -> None:
    assert scenes.sha256(scenes.draw_scenes("train", 5, SIDE)) == scenes.sha256(drawn[:5])
    assert scenes.sha256(scenes.draw_scenes("test", 5, SIDE)) != scenes.sha256(drawn[:5])


def test_boxes_are_exactly_around_what_the_mask_shows(drawn: list[scenes.Scene]) -> None:
    alone = 0
    for scene in drawn:
        inside = np.zeros((SIDE, SIDE), dtype=bool)
        for (left, top, right, bottom), label in zip(
            scene.boxes.astype(int), scene.labels, strict=True
        ):
            inside[top:bottom, left:right] = True
            if (scene.labels == label).sum() == 1:
                rows, columns = np.nonzero(scene.mask == label + 1)
                found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                assert found == (left, top, right, bottom)
                alone += 1
        assert not scene.mask[~inside].any()
        assert set(np.unique(scene.mask)) - {0} == set(scene.labels + 1)
    assert alone > 100


def test_every_class_is_drawn(drawn: list[scenes.Scene]) -> None:
    labels = np.concatenate([scene.labels for scene in drawn])
    assert set(labels) == set(range(len(scenes.CLASS_NAMES)))
    assert max(len(scene.labels) for scene in drawn) == 4


def test_shapes_may_be_drawn_alone(drawn: list[scenes.Scene]) -> None:
    alone = scenes.draw_scenes("train", 40, SIDE, "shapes")
    assert scenes.class_names("shapes") == scenes.CLASS_NAMES[10:]
    labels = np.concatenate([scene.labels for scene in alone])
    assert set(labels) == set(range(5))
    for scene in alone:
        assert set(np.unique(scene.mask)) - {0} == set(scene.labels + 1)
    assert scenes.sha256(alone) != scenes.sha256(drawn[:40])


def test_things_stand_out_from_their_ground(drawn: list[scenes.Scene]) -> None:
    for scene in drawn:
        for left, top, right, bottom in scene.boxes.astype(int):
            pixels = scene.pixels[:, top:bottom, left:right].astype(float) / 255
            covered = scene.mask[top:bottom, left:right] > 0
            if covered.all() or not covered.any():
                continue
            difference = pixels[:, covered].mean(axis=1) - pixels[:, ~covered].mean(axis=1)
            assert np.abs(difference).mean() > 0.08


def test_digits_of_test_scenes_are_in_no_training_scene() -> None:
    data = read_digits()
    train = {row.tobytes() for row in data.train.pixels}
    shown = {row.tobytes() for pool in scenes._digit_pictures("test") for row in pool}
    assert len(shown) > 300
    assert not shown & train
