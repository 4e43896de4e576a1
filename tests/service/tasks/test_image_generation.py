import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import InputError
from service.tasks.base import Prepared
from service.tasks.image_generation import ImageGeneration
from service.tasks.noise import normal_noise
from tests.service.bundles import NOISE_SIZE, painter_bundle


@pytest.fixture
def painter(tmp_path: Path) -> ImageGeneration:
    return ImageGeneration(painter_bundle(tmp_path / "repository"))


def test_the_same_seed_gives_the_same_noise_and_another_one_other_noise() -> None:
    first = normal_noise(7, 0, 9)
    assert first.dtype == np.float32
    assert np.array_equal(first, normal_noise(7, 0, 9))
    assert not np.allclose(first, normal_noise(8, 0, 9))
    assert not np.allclose(first, normal_noise(7, 1, 9))


def test_noise_is_standard_normal() -> None:
    noise = np.concatenate([normal_noise(3, index, 10_000) for index in range(10)])
    # 100,000 draws: five standard errors of mean and variance are 0.016 and 0.022
    assert abs(noise.mean()) < 0.016
    assert abs(noise.var() - 1) < 0.023
    assert np.mean(np.abs(noise) < 1.96) == pytest.approx(0.95, abs=0.004)


def test_noise_is_frozen_for_good() -> None:
    # Published pictures are found again by their seed, so the stream may never change.
    assert normal_noise(42, 0, 4).tolist() == pytest.approx(
        [0.4242110252380371, -1.4388258457183838, -0.46525654196739197, 1.1221404075622559],
        abs=1e-7,
    )


def test_a_class_name_becomes_its_number_and_the_seeds_noise(painter: ImageGeneration) -> None:
    options = painter.parse_options({"seed": 5, "index": 2})
    [item] = painter.preprocess(" 3 ", options).items
    assert item["label"] == 3
    assert item["label"].dtype == np.int64
    assert np.array_equal(item["noise"], normal_noise(5, 2, NOISE_SIZE))


def test_without_a_seed_each_request_draws_its_own_and_tells_it(painter: ImageGeneration) -> None:
    first, second = painter.parse_options({}), painter.parse_options({})
    assert first.seed != second.seed
    row = {"image": np.zeros((1, 8, 8), np.float32)}
    assert painter.postprocess([row], Prepared.one({}), first)["seed"] == first.seed


@pytest.mark.parametrize(
    ("size", "pixels"), [(None, 32), ("auto", 32), ("8x8", 8), ("256x256", 256), ("512x512", 512)]
)
def test_a_picture_is_enlarged_by_whole_numbers(
    painter: ImageGeneration, size: str | None, pixels: int
) -> None:
    options = painter.parse_options({} if size is None else {"size": size})
    answer = painter.postprocess(
        [{"image": np.ones((1, 8, 8), np.float32)}], Prepared.one({}), options
    )
    picture = Image.open(io.BytesIO(base64.b64decode(str(answer["image"]))))
    assert picture.size == (pixels, pixels) == (answer["width"], answer["height"])
    assert painter.answer.model_validate(answer)


@pytest.mark.parametrize(
    "size", ["9x9", "8x16", "1024x1024", "0x0", "8", "-8x-8", "8x8\n", "８x８"]
)
def test_other_sizes_are_refused_with_the_possible_ones(
    painter: ImageGeneration, size: str
) -> None:
    with pytest.raises(InputError, match="take 8x8 or a whole multiple of it up to 512x512"):
        painter.preprocess("3", painter.parse_options({"size": size}))


@pytest.mark.parametrize("prompt", ["", "ten", "3\0", "a" * 1_000_000])
def test_an_unknown_class_is_answered_with_the_known_ones(
    painter: ImageGeneration, prompt: str
) -> None:
    with pytest.raises(InputError, match="must be the name of a class: 0, 1, 2"):
        painter.preprocess(prompt, painter.parse_options({}))


def test_a_number_is_taken_for_its_name(painter: ImageGeneration) -> None:
    assert painter.read_json(3) == "3"
