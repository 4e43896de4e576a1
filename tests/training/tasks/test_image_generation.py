"""A generator is judged by what a classifier sees in its pictures."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from training import recipes
from training.settings import with_settings
from training.tasks.image_generation import ImageGenerationWork
from training.tasks.image_judge import train_judge
from training.work import Array, Arrays, Predict


@pytest.fixture(scope="module")
def work() -> ImageGenerationWork:
    config = with_settings(
        recipes.get("digits-vae").build_config(),
        ["hidden=32", "judge_epochs=6", "samples_per_class=20"],
    )
    work = recipes.get("digits-vae").work_class()(config, None)
    assert isinstance(work, ImageGenerationWork)
    work.prepare()
    return work


def drawing(work: ImageGenerationWork, *, off_by: int = 0, varied: bool = True) -> Predict:
    """Hands out real test pictures of the requested class, or of another one."""

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        test, seen, pictures = work.images.test, [0] * 10, []
        for label in inputs["label"]:
            rows = np.flatnonzero(test.labels == (label + off_by) % 10)
            pictures.append(test.pixels[rows[seen[label] % len(rows)]])
            seen[label] += varied
        return {"image": np.stack(pictures).astype(np.float32) / 255}

    return predict


def test_real_pictures_are_recognised_and_those_of_another_class_are_not(
    work: ImageGenerationWork,
) -> None:
    recognised, *others = work.evaluate(drawing(work))
    figures = {figure.metric: figure for figure in others}
    assert recognised.metric == "recognised"
    assert recognised.value > 0.8
    assert recognised.interval is not None
    assert recognised.samples == 200
    assert figures["diversity-of-real"].value == pytest.approx(1.0, abs=0.15)
    assert figures["classes-drawn"].value > 0.9
    distance = figures["frechet-distance"]
    assert not distance.higher_is_better
    assert distance.value < distance.baselines["mixed-pixels"]
    assert work.evaluate(drawing(work, off_by=1))[0].value < 0.2


def test_the_same_picture_again_and_again_has_no_diversity(work: ImageGenerationWork) -> None:
    figures = {row.metric: row.value for row in work.evaluate(drawing(work, varied=False))}
    assert figures["nearest-drawn"] == pytest.approx(0, abs=1e-6)
    assert figures["diversity-of-real"] < 0.2


def test_the_judge_is_trained_once_and_its_own_accuracy_is_reported(
    work: ImageGenerationWork,
) -> None:
    assert work.judge is work.judge
    figures = {row.metric: row for row in work.evaluate(drawing(work))}
    assert figures["recognised"].baselines == {"chance": 0.1}
    assert figures["judge-accuracy"] == work.judge.accuracy
    assert work.judge.accuracy.samples == len(work.images.test)


def test_training_a_judge_leaves_the_runs_random_state_alone(work: ImageGenerationWork) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_judge(work.images, 1, 0, "cpu")
    assert torch.equal(torch.rand(3), expected)


def test_samples_ask_for_every_class_in_turn(work: ImageGenerationWork) -> None:
    inputs = work.sample_inputs(12, None)
    assert inputs["label"].tolist() == [*range(10), 0, 1]
    assert inputs["noise"].shape == (12, work.config.latent)
    assert np.array_equal(inputs["noise"], work.sample_inputs(12, None)["noise"])


def test_the_draft_says_how_a_request_becomes_noise_and_label(work: ImageGenerationWork) -> None:
    draft = work.draft(work.lightning_module())
    assert draft.preprocessing.kind == "class_condition"
    assert [spec.name for spec in draft.inputs] == ["noise", "label"]
    assert draft.outputs[0].shape == ("batch", 1, 8, 8)
    assert draft.postprocessing.kind == "image"
