"""The image classifier keeps its figures, calibration and examples apart and repeatable."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from models.blocks import ImagePreprocessing
from models.bundle import Bundle
from models.errors import UsageError
from tests.training.fake_work import silent_reporter
from training import pipeline, recipes
from training.settings import with_settings
from training.tasks.image_classification import ImageClassificationWork
from training.tasks.image_settings import ImageClassificationConfig
from training.work import Array, Arrays, Predict


@pytest.fixture(scope="module")
def work() -> ImageClassificationWork:
    config = with_settings(recipes.get("digits").build_config(), ["residual.width=4"])
    work = recipes.get("digits").work_class()(config, None)
    assert isinstance(work, ImageClassificationWork)
    work.prepare()
    return work


def oracle(work: ImageClassificationWork, *, knows_inverted: bool) -> Predict:
    """Looks its answers up by the picture itself."""
    answers = {}
    for split in (work.images.test, work.images.validation):
        for pixels, label in zip(split.pixels, split.labels, strict=True):
            answers[pixels.tobytes()] = label
            answers[(255 - pixels).tobytes()] = label if knows_inverted else (label + 1) % 10

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        block = work.images.block
        pixels = inputs["image"] * np.float32(block.std[0]) + np.float32(block.mean[0])
        keys = [row.tobytes() for row in np.round(pixels / block.scale).astype(np.uint8)]
        return {"logits": np.eye(10, dtype=np.float32)[[answers[key] for key in keys]] * 5}

    return predict


def test_a_perfect_answer_is_measured_as_one_and_polarity_apart(
    work: ImageClassificationWork,
) -> None:
    figures = {row.metric: row for row in work.evaluate(oracle(work, knows_inverted=False))}
    assert figures["accuracy"].value == 1.0
    assert figures["accuracy"].samples == len(work.images.test)
    assert figures["accuracy-inverted"].value == 0.0
    assert 0.08 < figures["accuracy"].baselines["majority"] < 0.12
    assert {"macro-f1", "calibration-error", "negative-log-likelihood"} <= figures.keys()


def test_the_main_metric_comes_first(work: ImageClassificationWork) -> None:
    assert work.evaluate(oracle(work, knows_inverted=True))[0].metric == "accuracy"


def test_the_temperature_is_fitted_on_validation_and_written_down(
    work: ImageClassificationWork,
) -> None:
    work.calibrate(oracle(work, knows_inverted=True))
    draft = work.draft(work.lightning_module())
    assert draft.temperature == work.temperature
    assert 0.05 < work.temperature < 5


def test_samples_are_held_out_pictures_and_the_same_every_time(
    work: ImageClassificationWork,
) -> None:
    first, again = (work.sample_inputs(5, None)["image"] for _ in range(2))
    assert np.array_equal(first, again)
    assert first.dtype == np.float32
    assert len(np.unique(first.reshape(5, -1), axis=0)) == 5
    assert len(work.sample_inputs(1000, None)["image"]) == 1000


def test_the_draft_describes_the_graph_and_the_pictures(work: ImageClassificationWork) -> None:
    draft = work.draft(work.lightning_module())
    assert isinstance(draft.preprocessing, ImagePreprocessing)
    assert draft.preprocessing.interpolation == "box"
    assert draft.inputs[0].shape == ("batch", 1, 8, 8)
    assert draft.outputs[0].shape == ("batch", 10)
    assert draft.reference["image"]["std"] == pytest.approx(1.0, abs=0.01)


def test_calibration_rows_come_from_validation_alone(work: ImageClassificationWork) -> None:
    rows = np.concatenate([batch["image"] for batch in work.calibration_inputs()])
    assert len(rows) == len(work.images.validation)


@pytest.mark.slow
def test_a_mirrored_average_goes_the_whole_way(tmp_path: Path) -> None:
    """The published graph answers a picture and its mirror image alike."""
    settings = ("mirror_average=true", "gates.accuracy_floor=none", "gates.beats=")
    request = pipeline.Request(
        "image-resnet",
        None,
        (*recipes.get("image-resnet").tiny, *settings),
        tmp_path / "repository",
        tmp_path / "runs",
    )
    bundle: Bundle = pipeline.run(request, silent_reporter()[0])
    graph = onnxruntime.InferenceSession(bundle.read("model.onnx"))
    picture = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    [here] = graph.run(None, {"image": picture})
    [there] = graph.run(None, {"image": np.ascontiguousarray(picture[..., ::-1])})
    assert np.allclose(here, there, atol=1e-5)


def test_a_mirrored_average_of_what_was_never_mirrored_is_refused() -> None:
    build = recipes.get("digits").build_config()
    with pytest.raises(UsageError, match="flip_probability"):
        with_settings(build, ["mirror_average=true", "augment.flip_probability=0"])
    config = with_settings(build, ["mirror_average=true"])
    assert isinstance(config, ImageClassificationConfig)
    work = ImageClassificationWork(config, None)
    with pytest.raises(UsageError, match="grey"):
        work.prepare()
