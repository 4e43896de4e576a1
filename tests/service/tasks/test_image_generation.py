import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from models.errors import InputError, ManifestInvalid
from service.tasks.base import OptionInvalid, Prepared
from service.tasks.image_generation import ImageGeneration
from service.tasks.noise import choice, normal_noise
from tests.service.bundles import NOISE_SIZE, diffuser_bundle, painter_bundle


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
    assert painter.postprocess([row], Prepared.one({}, 3), first)["seed"] == first.seed


@pytest.mark.parametrize(
    ("size", "pixels"), [(None, 32), ("auto", 32), ("8x8", 8), ("256x256", 256), ("512x512", 512)]
)
def test_a_picture_is_enlarged_by_whole_numbers(
    painter: ImageGeneration, size: str | None, pixels: int
) -> None:
    options = painter.parse_options({} if size is None else {"size": size})
    answer = painter.postprocess(
        [{"image": np.ones((1, 8, 8), np.float32)}], Prepared.one({}, 3), options
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


@pytest.fixture
def diffuser(tmp_path: Path) -> ImageGeneration:
    return ImageGeneration(diffuser_bundle(tmp_path / "repository"))


class Named(ImageGeneration):
    """A painter whose classes have the given names."""

    def __init__(self, bundle: Bundle, *labels: str) -> None:
        self._own = labels
        super().__init__(_Labelled(bundle, labels))  # type: ignore[arg-type]


class _Labelled:
    def __init__(self, bundle: Bundle, labels: tuple[str, ...]) -> None:
        self.manifest, self._labels = bundle.manifest, labels

    def labels(self, _: str) -> list[str]:
        return list(self._labels)


@pytest.fixture
def shapes(tmp_path: Path) -> Named:
    bundle = painter_bundle(tmp_path / "repository")
    return Named(bundle, "red_circle large", "red_circle small", "blue-circle", "Square")


def drawn(task: ImageGeneration, prompt: str, **options: object) -> str:
    label: int = task.preprocess(prompt, task.parse_options(options)).kept
    return task.labels[label]


def test_attributes_may_stand_in_any_order_and_case(shapes: Named) -> None:
    assert drawn(shapes, "Circle BLUE") == "blue-circle"
    assert drawn(shapes, "small, red circle") == "red_circle small"
    assert drawn(shapes, " sQUARE ") == "Square"


def test_what_attributes_leave_open_is_chosen_by_the_seed(shapes: Named) -> None:
    found = [drawn(shapes, "red", seed=seed) for seed in range(40)]
    assert set(found) == {"red_circle large", "red_circle small"}
    assert found == [drawn(shapes, "red", seed=seed) for seed in range(40)]
    with pytest.raises(InputError, match="name of a class: red_circle large"):
        drawn(shapes, "red square")


def test_a_choice_is_fair_and_frozen() -> None:
    counts = np.bincount([choice(seed, 0, 3) for seed in range(3000)], minlength=3)
    assert np.abs(counts - 1000).max() < 5 * (3000 * 2 / 9) ** 0.5
    assert [choice(42, index, 10) for index in range(6)] == [3, 7, 3, 7, 8, 4]


def test_a_diffusion_model_begins_with_the_seeds_noise(diffuser: ImageGeneration) -> None:
    prepared = diffuser.preprocess("3", diffuser.parse_options({"seed": 5, "steps": 9}))
    assert prepared.items == ()
    assert prepared.loop is not None
    assert (prepared.loop.step, prepared.loop.steps) == (0, 9)
    item = prepared.loop.item()
    assert np.array_equal(item["x"], normal_noise(5, 0, 64).reshape(1, 8, 8))
    assert [float(item[name]) for name in ("t", "label", "guidance")] == [1.0, 3.0, 2.0]
    assert {value.dtype.name for value in item.values()} == {"float32", "int64"}


def test_the_models_own_steps_and_guidance_count_where_none_are_asked_for(
    diffuser: ImageGeneration,
) -> None:
    loop = diffuser.preprocess("3", diffuser.parse_options({})).loop
    assert loop is not None
    assert loop.steps == 4
    none = diffuser.preprocess("3", diffuser.parse_options({"guidance_scale": 0})).loop
    assert none is not None
    assert none.item()["guidance"] == 0


@pytest.mark.parametrize("name", ["steps", "guidance_scale", "sampler"])
def test_options_of_another_kind_of_model_are_refused_by_name(
    painter: ImageGeneration, diffuser: ImageGeneration, name: str
) -> None:
    value = "heun" if name == "sampler" else 3
    assert diffuser.parse_options({name: value})
    with pytest.raises(OptionInvalid, match="draws in one run") as refused:
        painter.parse_options({name: value})
    assert refused.value.option == name
    with pytest.raises(OptionInvalid, match="interpolate_to"):
        diffuser.parse_options({"interpolate_to": 3})


def test_a_strip_leads_from_one_seeds_picture_to_anothers(painter: ImageGeneration) -> None:
    options = painter.parse_options({"seed": 1, "interpolate_to": 2, "frames": 5})
    prepared = painter.preprocess("3", options)
    noises = [item["noise"] for item in prepared.items]
    assert len(noises) == 5
    assert np.allclose(noises[0], normal_noise(1, 0, NOISE_SIZE), atol=1e-6)
    assert np.allclose(noises[-1], normal_noise(2, 0, NOISE_SIZE), atol=1e-6)
    rows = [{"image": np.full((1, 8, 8), index / 4, np.float32)} for index in range(5)]
    answer = painter.postprocess(rows, prepared, options)
    picture = Image.open(io.BytesIO(base64.b64decode(str(answer["image"]))))
    assert picture.size == (5 * 32, 32) == (answer["width"], answer["height"])
    assert [picture.getpixel((32 * place, 0)) for place in range(5)] == [0, 64, 128, 191, 255]


def test_a_strip_never_becomes_too_large_to_write(painter: ImageGeneration) -> None:
    options = {"interpolate_to": 2, "frames": 64, "size": "512x512"}
    with pytest.raises(InputError, match="up to 512x512"):
        painter.preprocess("3", painter.parse_options({**options, "size": "520x520"}))
    assert painter.preprocess("3", painter.parse_options(options)).items
    with pytest.raises(OptionInvalid, match="frames"):
        painter.parse_options({**options, "frames": 65})


def test_a_graph_that_is_no_denoising_step_is_refused(tmp_path: Path) -> None:
    bundle = diffuser_bundle(tmp_path / "repository")
    condition = bundle.manifest.preprocessing.model_copy(update={"time_input": "time"})
    manifest = bundle.manifest.model_copy(update={"preprocessing": condition})
    with pytest.raises(ManifestInvalid, match="a diffusion graph takes x, time, label, guidance"):
        ImageGeneration(Bundle(bundle.path, manifest))
