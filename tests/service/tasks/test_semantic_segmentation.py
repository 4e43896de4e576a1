import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import InferenceFailed, InputError, ManifestInvalid
from models.transforms.segmentation import from_run_lengths
from service.tasks import semantic_segmentation
from service.tasks.base import OptionInvalid
from service.tasks.semantic_segmentation import SemanticSegmentation
from tests.service.scene_bundles import SIDE, segmentation_bundle
from tests.service.tasks.test_object_detection import encoded


@pytest.fixture
def segmenter(tmp_path: Path) -> SemanticSegmentation:
    return SemanticSegmentation(segmentation_bundle(tmp_path / "repository"))


def halves() -> dict[str, np.ndarray]:
    """Road on the left, sky on the right, of the whole canvas."""
    logits = np.zeros((3, SIDE // 2, SIDE // 2), dtype=np.float32)
    logits[1, :, : SIDE // 4] = 4
    logits[2, :, SIDE // 4 :] = 4
    return {"logits": logits}


def asked(segmenter: SemanticSegmentation, data: bytes, **given: object) -> dict[str, Any]:
    options = segmenter.parse_options(given)
    answer = segmenter.postprocess([halves()], segmenter.preprocess(data, options), options)
    segmenter.answer.model_validate(answer)
    return answer


def pixels(answer: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["mask"]))))


def test_the_mask_has_the_size_of_the_picture_and_the_areas_are_counted(
    segmenter: SemanticSegmentation,
) -> None:
    answer = asked(segmenter, encoded(320, 160))
    mask = pixels(answer)
    assert mask.shape == (160, 320) == (answer["height"], answer["width"])
    assert (mask[:, :150] == 1).all()
    assert (mask[:, 170:] == 2).all()
    assert sum(one["pixels"] for one in answer["classes"]) == 320 * 160
    assert {one["label"]: one["share"] for one in answer["classes"]} == pytest.approx(
        {"road": 0.5, "sky": 0.5}, abs=0.02
    )


def test_a_rotated_photographs_mask_is_upright(segmenter: SemanticSegmentation) -> None:
    assert pixels(asked(segmenter, encoded(320, 160, orientation=8))).shape == (320, 160)


def test_run_lengths_and_png_tell_the_same(segmenter: SemanticSegmentation) -> None:
    mask = pixels(asked(segmenter, encoded(90, 70)))
    answer = asked(segmenter, encoded(90, 70), format="rle")
    assert answer["mask"] is None
    for area in answer["classes"]:
        found = from_run_lengths(np.asarray(area["counts"]), (90, 70))
        assert np.array_equal(found, mask == area["index"])


def test_a_smaller_mask_may_be_asked_for(segmenter: SemanticSegmentation) -> None:
    answer = asked(segmenter, encoded(320, 160), max_size=64)
    assert pixels(answer).shape == (32, 64)


def test_a_mask_of_too_many_runs_is_refused_with_the_remedy(
    segmenter: SemanticSegmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic_segmentation, "_MOST_RUNS", 3)
    with pytest.raises(InputError, match="ask for format png, or a smaller one with max_size"):
        asked(segmenter, encoded(320, 160), format="rle")


@pytest.mark.parametrize(("name", "value"), [("format", "gif"), ("max_size", 0), ("max_size", 1e9)])
def test_options_out_of_bounds_are_refused(
    segmenter: SemanticSegmentation, name: str, value: object
) -> None:
    with pytest.raises(OptionInvalid, match=name):
        segmenter.parse_options({name: value})


def test_an_answer_that_is_no_number_is_the_models_fault(segmenter: SemanticSegmentation) -> None:
    options = segmenter.parse_options({})
    prepared = segmenter.preprocess(encoded(32, 32), options)
    row = {"logits": np.full((3, 16, 16), np.nan, dtype=np.float32)}
    with pytest.raises(InferenceFailed, match="not a number"):
        segmenter.postprocess([row], prepared, options)


def test_a_manifest_that_does_not_fit_its_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match=r"expected \[batch, 2 classes, height, width\]"):
        SemanticSegmentation(segmentation_bundle(tmp_path / "repository", labels=("a", "b")))
    with pytest.raises(ManifestInvalid, match="keeps the whole picture"):
        SemanticSegmentation(segmentation_bundle(tmp_path / "other", fit="content"))
