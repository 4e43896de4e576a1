"""Redrawing pictures: what it is held to, what it is held against, what is exported."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from models.errors import UsageError
from training import recipes
from training.data.filters import best_gaussian, gaussian_filter, median_filter
from training.networks.redrawing import Between, Redrawer, Redrawing
from training.settings import with_settings
from training.tasks.image_reconstruction import ImageReconstructionWork
from training.work import Array, Arrays


def work(recipe: str = "image-denoiser", *settings: str) -> ImageReconstructionWork:
    made = with_settings(recipes.get(recipe).build_config(), ["width=8", *settings])
    prepared = ImageReconstructionWork(made, None)  # type: ignore[arg-type]
    prepared.prepare()
    return prepared


def giving_back(made: ImageReconstructionWork) -> object:
    block = made.images.block

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        return {"redrawn": np.clip(inputs["image"] * block.std[0] + block.mean[0], 0, 1)}

    return predict


def test_giving_back_what_came_is_no_better_than_the_baseline() -> None:
    made = work()
    noisy, clean = made.evaluate(giving_back(made))  # type: ignore[arg-type]
    assert noisy.value == pytest.approx(noisy.baselines["as-given"], abs=1e-3)
    assert noisy.interval is not None
    assert noisy.interval.low < noisy.value < noisy.interval.high
    assert clean.value > 60
    # A deviation of 0.3 is 10.5 decibels; black and white stay within bounds, which takes some away.
    assert 10.4 < noisy.value < 14


def test_without_noise_the_mean_picture_is_to_be_beaten() -> None:
    made = work("image-denoiser", "noise_level=0")
    [figure] = made.evaluate(giving_back(made))  # type: ignore[arg-type]
    assert set(figure.baselines) == {"mean-picture"}
    assert figure.value > figure.baselines["mean-picture"]


def test_filters_take_noise_away_and_leave_plain_pictures_alone() -> None:
    plain = np.full((2, 1, 8, 8), 0.5, np.float32)
    noise = np.random.default_rng(0).normal(0, 0.2, plain.shape).astype(np.float32)
    for filtered in (median_filter(plain), gaussian_filter(plain, 0.8)):
        assert np.allclose(filtered, plain)
    for filtered in (median_filter(plain + noise), gaussian_filter(plain + noise, 1.0)):
        assert np.abs(filtered - plain).mean() < np.abs(noise).mean() / 1.5
    assert best_gaussian(plain + noise, plain) == 2.0
    assert best_gaussian(plain + noise, plain + noise) == 0.3


def test_a_single_bright_pixel_is_spread_or_dropped() -> None:
    dot = np.zeros((1, 1, 7, 7), np.float32)
    dot[0, 0, 3, 3] = 1
    assert median_filter(dot).max() == 0
    spread = gaussian_filter(dot, 1.0)
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert spread[0, 0, 3, 3] == spread.max()
    assert np.allclose(spread, spread.transpose(0, 1, 3, 2))


@torch.inference_mode()
def test_between_two_pictures_the_ends_are_the_pictures() -> None:
    torch.manual_seed(0)
    redrawing = Redrawing(Redrawer(1, 8, 4, 2, is_variational=True), (0.3,), (0.4,)).eval()
    first, second = torch.randn(2, 3, 1, 8, 8)
    between = Between(redrawing)
    assert torch.equal(between(first, second, torch.zeros(3)), redrawing(first))
    assert torch.allclose(between(first, second, torch.ones(3)), redrawing(second), atol=1e-5)
    assert 0 <= float(redrawing(first).min()) <= float(redrawing(first).max()) <= 1


def test_only_the_variational_middle_is_drawn_by_chance() -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 1, 8, 8)
    plain = Redrawer(1, 8, 4, 2, is_variational=False).eval()
    assert torch.equal(plain(image)[0], plain(image)[0])
    chance = Redrawer(1, 8, 4, 2, is_variational=True).eval()
    assert not torch.equal(chance(image)[0], chance(image)[0])
    assert torch.equal(chance(image)[1], chance(image)[1])


def test_the_manifest_tells_whether_two_pictures_are_taken() -> None:
    for recipe, names in (
        ("image-denoiser", ["image"]),
        ("image-vae", ["image", "image_to", "mix"]),
    ):
        made = work(recipe)
        draft = made.draft(made.lightning_module())
        assert [spec.name for spec in draft.inputs] == names
        assert list(made.sample_inputs(3, None)) == names
        marks = draft.postprocessing.model_dump()
        assert (marks["second_input"] is not None) == (recipe == "image-vae")


def test_pictures_that_cannot_be_halved_so_often_are_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 16, or fewer halvings"):
        work("image-denoiser", "halvings=4", "image.side=12")
