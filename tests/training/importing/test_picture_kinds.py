"""A served checkpoint that reads pictures answers what its library answers, whatever its architecture."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.importing.checkpoints import (
    detector_parts,
    picture_parts,
    save,
    segmenter_parts,
)
from tests.training.importing.served import ask, imported, library, silenced
from training.importing.samples import pictures


@pytest.mark.parametrize(
    "family",
    [
        "ViT",
        pytest.param("ResNet", marks=pytest.mark.slow),
        pytest.param("ConvNext", marks=pytest.mark.slow),
    ],
)
def test_image_classification(family: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "mine", *picture_parts(family))
    bundle = imported(folder)
    theirs = library("image-classification", folder, image_processor=picture_parts(family)[1])
    for _, data in pictures():
        with silenced():
            expected = theirs(Image.open(io.BytesIO(data)))
        answer = ask(bundle, data)
        assert [row["label"] for row in answer["labels"]] == [row["label"] for row in expected]
        for row, other in zip(answer["labels"], expected, strict=True):
            assert row["score"] == pytest.approx(other["score"], abs=1e-5)


def test_object_detection(tmp_path: Path) -> None:
    folder = save(tmp_path / "mine", *detector_parts())
    bundle = imported(folder)
    assert bundle.manifest.inputs[0].shape == ("batch", 3, "height", "width")
    theirs = library("object-detection", folder, image_processor=detector_parts()[1])
    for _, data in pictures()[:3]:
        with silenced():
            expected = theirs(Image.open(io.BytesIO(data)), threshold=0.2)
        answer = ask(bundle, data, {"score_threshold": 0.2})
        assert len(answer["objects"]) == len(expected) > 0
        expected.sort(key=lambda row: -row["score"])
        for row, other in zip(answer["objects"], expected, strict=True):
            assert row["label"] == other["label"]
            assert row["score"] == pytest.approx(other["score"], abs=1e-5)
            for side, pixel in other["box"].items():  # the library's are whole, and may lie outside
                most = answer["width" if side.startswith("x") else "height"]
                assert -1e-3 <= row["box"][side] - min(max(0, pixel), most) <= 1


def test_semantic_segmentation(tmp_path: Path) -> None:
    folder = save(tmp_path / "mine", *segmenter_parts())
    bundle = imported(folder)
    theirs = library("image-segmentation", folder, image_processor=segmenter_parts()[1])
    _, data = pictures()[0]
    with silenced():
        expected = theirs(Image.open(io.BytesIO(data)), subtask="semantic")
    png = base64.b64decode(ask(bundle, data)["mask"])
    mask, labels = np.asarray(Image.open(io.BytesIO(png))), bundle.labels("labels.txt")
    assert len(expected) > 1
    for entry in expected:
        ours = mask == labels.index(entry["label"])
        assert (ours == (np.asarray(entry["mask"]) > 0)).mean() > 0.999
