import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import ImageError, InferenceFailed, InputError, ManifestInvalid
from service.tasks.base import OptionInvalid, Row
from service.tasks.object_detection import ObjectDetection
from tests.service.scene_bundles import CANDIDATES, SIDE, detection_bundle

_ORIENTATION = 0x0112


@pytest.fixture
def detector(tmp_path: Path) -> ObjectDetection:
    return ObjectDetection(detection_bundle(tmp_path / "repository"))


def encoded(width: int, height: int, orientation: int = 1) -> bytes:
    image, out = Image.new("RGB", (width, height), "grey"), io.BytesIO()
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    image.save(out, format="JPEG", exif=exif)
    return out.getvalue()


def outputs(*objects: tuple[int, float, tuple[float, ...]]) -> Row:
    """Rows of the graph: (class, score, box) each; the other candidates are nothing."""
    boxes, scores = np.zeros((CANDIDATES, 4), np.float32), np.zeros((CANDIDATES, 3))
    for number, (label, score, box) in enumerate(objects):
        boxes[number], scores[number, label] = box, score
    return {"boxes": boxes, "scores": scores}


def asked(detector: ObjectDetection, data: bytes, row: Row, **given: object) -> list[dict]:  # type: ignore[type-arg]
    options = detector.parse_options(given)
    answer = detector.postprocess([row], detector.preprocess(data, options), options)
    detector.answer.model_validate(answer)
    return answer["objects"]  # type: ignore[return-value]


def test_boxes_lie_in_the_callers_picture(detector: ObjectDetection) -> None:
    """320×160 in 32×32: a tenth of its size, eight black rows above."""
    [found] = asked(detector, encoded(320, 160), outputs((1, 0.75, (4, 12, 10, 20))))
    assert found == {
        "label": "dog",
        "score": 0.75,
        "index": 1,
        "box": {"xmin": 40, "ymin": 40, "xmax": 100, "ymax": 120},
    }


def test_boxes_of_a_rotated_photograph_lie_in_the_upright_one(detector: ObjectDetection) -> None:
    data = encoded(320, 160, orientation=6)
    options = detector.parse_options({})
    prepared = detector.preprocess(data, options)
    answer = detector.postprocess([outputs((0, 0.9, (0, 0, 32, 32)))], prepared, options)
    assert (answer["width"], answer["height"]) == (160, 320)
    assert answer["objects"][0]["box"] == {"xmin": 0, "ymin": 0, "xmax": 160, "ymax": 320}  # type: ignore[index]


def test_the_caller_chooses_within_bounds(detector: ObjectDetection) -> None:
    row = outputs((0, 0.9, (2, 10, 12, 20)), (0, 0.8, (3, 10, 13, 20)), (2, 0.2, (20, 10, 30, 20)))
    data = encoded(32, 32)
    assert [found["score"] for found in asked(detector, data, row)] == pytest.approx([0.9])
    assert len(asked(detector, data, row, score_threshold=0.1)) == 2
    assert len(asked(detector, data, row, iou_threshold=0.9)) == 2
    assert len(asked(detector, data, row, score_threshold=0.1, max_detections=1)) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("score_threshold", 1.5), ("iou_threshold", 0), ("max_detections", 1001), ("top_k", 3)],
)
def test_options_out_of_bounds_are_refused(
    detector: ObjectDetection, name: str, value: object
) -> None:
    with pytest.raises(OptionInvalid, match=name):
        detector.parse_options({name: value})


def test_a_picture_without_objects_has_an_empty_answer(detector: ObjectDetection) -> None:
    assert asked(detector, encoded(50, 40), outputs()) == []


def test_numbers_are_answered_in_the_graphs_pixels(detector: ObjectDetection) -> None:
    pixels = np.zeros((3, SIDE, SIDE), dtype=np.float32).tolist()
    options = detector.parse_options({})
    prepared = detector.preprocess(detector.read_json(pixels), options)
    answer = detector.postprocess([outputs((0, 0.9, (1, 2, 3, 4)))], prepared, options)
    assert answer["objects"][0]["box"] == {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}  # type: ignore[index]


def test_an_answer_that_is_no_number_is_the_models_fault(detector: ObjectDetection) -> None:
    row = outputs((0, float("nan"), (1, 2, 3, 4)))
    with pytest.raises(InferenceFailed, match="not a number"):
        asked(detector, encoded(32, 32), row)


@pytest.mark.parametrize("data", [b"", b"GIF89a", encoded(40, 40)[:300]])
def test_what_is_no_picture_is_the_callers_fault(detector: ObjectDetection, data: bytes) -> None:
    with pytest.raises(ImageError):
        detector.preprocess(data, detector.parse_options({}))
    with pytest.raises(InputError):
        detector.read_json("%%%")


def test_a_manifest_that_drops_parts_of_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="keeps the whole picture"):
        ObjectDetection(detection_bundle(tmp_path / "repository", fit="crop"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes_output": "corners"}, "no output 'corners'"),
        ({"score_kind": "softmax_background"}, "3 classes but 3 labels"),
    ],
)
def test_a_manifest_that_does_not_fit_its_graph_is_refused(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ManifestInvalid, match=message):
        ObjectDetection(detection_bundle(tmp_path / "repository", **changes))
