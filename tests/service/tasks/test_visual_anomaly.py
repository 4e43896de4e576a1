"""Anomaly detection as it is served: score, verdict, and a heat map of the picture's own size."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import InferenceFailed, ManifestInvalid
from service.tasks.base import OptionInvalid
from service.tasks.visual_anomaly import VisualAnomalyDetection
from tests.service.picture_bundles import SIDE, inspected, inspector_bundle
from tests.service.tasks.test_object_detection import encoded


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> VisualAnomalyDetection:
    return VisualAnomalyDetection(inspector_bundle(tmp_path_factory.mktemp("b") / "repository"))


def spotted(width: int, height: int) -> bytes:
    """Dark, with a white lower right quarter."""
    pixels = np.zeros((height, width), dtype=np.uint8)
    pixels[height // 2 :, width // 2 :] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def asked(task: VisualAnomalyDetection, data: bytes, **given: object) -> dict[str, Any]:
    options = task.parse_options(given)
    prepared = task.preprocess(data, options)
    row = {name: value[0] for name, value in inspected(prepared.items[0]["image"][None]).items()}
    answer = task.postprocess([row], prepared, options)
    task.answer.model_validate(answer)
    return answer


def shades(answer: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["heat_map"]))))


def test_a_bright_spot_is_an_anomaly_and_shown_where_it_is(task: VisualAnomalyDetection) -> None:
    answer = asked(task, spotted(60, 40))
    assert (answer["is_anomaly"], answer["threshold"]) == (True, 0.5)
    assert answer["score"] == pytest.approx(1)
    map_ = shades(answer)
    assert map_.shape == (40, 60) == (answer["height"], answer["width"])
    assert map_[30:, 40:].min() > 250
    assert map_[:10, :20].max() < 5


def test_a_rotated_photographs_map_is_upright(task: VisualAnomalyDetection) -> None:
    assert shades(asked(task, encoded(60, 40, orientation=8))).shape == (60, 40)


def test_the_threshold_is_the_callers_if_he_names_one(task: VisualAnomalyDetection) -> None:
    answer = asked(task, spotted(20, 20), threshold=1.5)
    assert (answer["is_anomaly"], answer["threshold"]) == (False, 1.5)


def test_a_score_at_the_threshold_is_no_anomaly(task: VisualAnomalyDetection) -> None:
    assert asked(task, spotted(20, 20), threshold=1.0)["is_anomaly"] is False


def test_the_map_is_never_larger_than_the_picture(task: VisualAnomalyDetection) -> None:
    assert shades(asked(task, spotted(60, 40), max_size=65_535)).shape == (40, 60)


def test_the_map_may_be_smaller_or_left_out(task: VisualAnomalyDetection) -> None:
    assert shades(asked(task, spotted(60, 40), max_size=30)).shape == (20, 30)
    answer = asked(task, spotted(60, 40), heat_map=False)
    assert answer["heat_map"] is answer["width"] is answer["height"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_size", 0),
        ("max_size", 65_536),
        ("max_size", "huge"),
        ("heat_map", "maybe"),
        ("threshold", "high"),
        ("threshold", "nan"),
        ("threshold", "-inf"),
        ("threshold", float("nan")),
        ("threshold", float("inf")),
        ("threshold", [1]),
        ("unknown", 1),
    ],
)
def test_options_out_of_bounds_are_refused(
    task: VisualAnomalyDetection, name: str, value: object
) -> None:
    with pytest.raises(OptionInvalid, match=name):
        task.parse_options({name: value})


@pytest.mark.parametrize("wrong", ["score", "map"])
def test_what_is_no_number_is_the_models_fault(task: VisualAnomalyDetection, wrong: str) -> None:
    options = task.parse_options({})
    prepared = task.preprocess(spotted(20, 20), options)
    row = {"score": np.float32(0), "map": np.zeros((SIDE, SIDE), np.float32)}
    row[wrong] = np.full_like(row[wrong], np.nan)
    with pytest.raises(InferenceFailed, match="not a number"):
        task.postprocess([row], prepared, options)


def test_a_manifest_that_does_not_fit_its_graph_is_refused(tmp_path: Path) -> None:
    bundle = inspector_bundle(tmp_path / "repository", map_output="elsewhere")
    with pytest.raises(ManifestInvalid, match=r"'elsewhere' must be there, as \[batch, height"):
        VisualAnomalyDetection(bundle)
