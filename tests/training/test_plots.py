"""Every picture is a readable PNG, whatever people call their classes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import plots

# A font without these glyphs, and text that mathematics mode would choke on.
AWKWARD = ("日本語", "$5 {off", "עברית", "a_b^c$")


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert len(set(image.convert("L").tobytes())) > 1
        return image.size


@pytest.mark.parametrize("classes", [2, 30, 150])
def test_confusion_matrix_is_drawn_for_few_and_many_classes(tmp_path: Path, classes: int) -> None:
    matrix = np.eye(classes, dtype=np.int64) * 3
    plots.confusion_matrix(tmp_path / "m.png", matrix, [f"class {i}" for i in range(classes)])
    assert max(_size(tmp_path / "m.png")) < 3000


def test_labels_are_never_read_as_mathematics_nor_warned_about(tmp_path: Path) -> None:
    plots.confusion_matrix(tmp_path / "m.png", np.eye(4, dtype=np.int64), AWKWARD)
    plots.image_sheet(tmp_path / "s.png", [np.zeros((1, 8, 8)), np.ones((3, 8, 8))], AWKWARD[:2])
    assert _size(tmp_path / "m.png")
    assert _size(tmp_path / "s.png")


def test_loss_curve_takes_empty_and_single_point_series(tmp_path: Path) -> None:
    plots.loss_curve(
        tmp_path / "l.png", {"train": [(1, 2.0), (2, 1.0)], "val": [(2, 1.5)], "x": []}
    )
    plots.loss_curve(tmp_path / "empty.png", {"train": []})
    assert _size(tmp_path / "l.png")
    assert _size(tmp_path / "empty.png")


def test_reliability_diagram_and_sheet_are_drawn(tmp_path: Path) -> None:
    plots.reliability_diagram(
        tmp_path / "r.png", np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0])
    )
    plots.image_sheet(tmp_path / "s.png", [np.full((1, 8, 8), 0.5)] * 23, ["x"] * 23)
    assert _size(tmp_path / "r.png")
    assert _size(tmp_path / "s.png")


def test_a_reliability_diagram_shows_what_calibration_changed(tmp_path: Path) -> None:
    honest = np.array([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]])
    raw, truth = np.array([[0.99, 0.01], [0.02, 0.98], [0.9, 0.1]]), np.array([0, 1, 1])
    plots.reliability_diagram(tmp_path / "one.png", honest, truth)
    plots.reliability_diagram(tmp_path / "both.png", honest, truth, uncalibrated=raw)
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "both.png").read_bytes()


def test_the_same_picture_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plots.confusion_matrix(tmp_path / name, np.eye(3, dtype=np.int64), ["x", "y", "z"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_montage_shows_every_picture_in_its_row(tmp_path: Path, channels: int) -> None:
    rows = [[np.full((channels, 8, 8), 1.0)] * 4, [np.full((channels, 8, 8), 0.0)] * 4]
    plots.montage(tmp_path / "montage.png", rows, ["white", "$black"])
    shades = np.asarray(Image.open(tmp_path / "montage.png").convert("L"))
    height = shades.shape[0]
    assert (shades[: height // 2] == 255).mean() > (shades[height // 2 :] == 255).mean()
    assert (shades[height // 2 :] == 0).mean() > 0.3
