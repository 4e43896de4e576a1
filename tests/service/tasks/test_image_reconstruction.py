"""A picture in, a picture out: sizes, noise, strips, and what is refused."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from models.errors import InferenceFailed, InputError, ManifestInvalid
from service.tasks.base import OptionInvalid, Prepared, Row
from service.tasks.image_reconstruction import ImageReconstruction
from service.tasks.noise import normal_noise
from tests.service.bundles import redrawer_bundle

MEAN, STD = 0.25, 0.5  # of the bundle


@pytest.fixture
def denoiser(tmp_path: Path) -> ImageReconstruction:
    return ImageReconstruction(redrawer_bundle(tmp_path / "repository"))


@pytest.fixture
def between(tmp_path: Path) -> ImageReconstruction:
    return ImageReconstruction(redrawer_bundle(tmp_path / "repository", is_between=True))


def png(level: int, side: int = 8) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((side, side), level, np.uint8)).save(out, format="PNG")
    return out.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def opened(answer: object) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(str(answer)))))


def rows_of(prepared: Prepared) -> list[Row]:
    """What a perfect model answers: the picture itself, in 0–1; between two, their mixture."""
    rows = []
    for item in prepared.items:
        picture = item["image"]
        if "mix" in item:
            picture = picture + item["mix"] * (item["image_to"] - picture)
        rows.append({"redrawn": picture * STD + MEAN})
    return rows


def test_a_picture_comes_back_at_the_models_size(denoiser: ImageReconstruction) -> None:
    options = denoiser.parse_options({})
    prepared = denoiser.preprocess(png(200, side=32), options)
    answer = denoiser.postprocess(rows_of(prepared), prepared, options)
    assert denoiser.answer.model_validate(answer)
    assert (answer["width"], answer["height"], answer["given"]) == (8, 8, None)
    assert (opened(answer["image"]) == 200).all()


def test_it_is_enlarged_by_whole_numbers_only(denoiser: ImageReconstruction) -> None:
    options = denoiser.parse_options({"size": "64x64"})
    prepared = denoiser.preprocess(png(9), options)
    assert opened(denoiser.postprocess(rows_of(prepared), prepared, options)["image"]).shape == (
        64,
        64,
    )
    with pytest.raises(InputError, match="whole multiple"):
        denoiser.preprocess(png(9), denoiser.parse_options({"size": "9x9"}))


def test_noise_is_that_of_its_seed_and_shown_beside_the_answer(
    denoiser: ImageReconstruction,
) -> None:
    options = denoiser.parse_options({"noise": 0.1, "seed": 5})
    prepared = denoiser.preprocess(png(128), options)
    noise = normal_noise(5, 0, 64).reshape(1, 8, 8)
    expected = (128 / 255 + 0.1 * noise - MEAN) / STD
    assert np.allclose(prepared.items[0]["image"], expected, atol=1e-5)
    answer = denoiser.postprocess(rows_of(prepared), prepared, options)
    shown = np.round(np.clip(128 / 255 + 0.1 * noise[0], 0, 1) * 255)
    assert np.abs(opened(answer["given"]) - shown).max() <= 1
    again = denoiser.preprocess(png(128), options)
    assert np.array_equal(again.items[0]["image"], prepared.items[0]["image"])


def test_two_pictures_become_a_strip(between: ImageReconstruction) -> None:
    options = between.parse_options({"frames": 5})
    instance = between.read_json(
        {"image": base64_of(png(0)), "interpolate_to": base64_of(png(200))}
    )
    prepared = between.preprocess(instance, options)
    assert [float(item["mix"]) for item in prepared.items] == [0, 0.25, 0.5, 0.75, 1]
    strip = opened(between.postprocess(rows_of(prepared), prepared, options)["image"])
    assert strip.shape == (8, 40)
    assert strip[0, ::8].tolist() == [0, 50, 100, 150, 200]


def test_a_single_picture_is_its_own_end(between: ImageReconstruction) -> None:
    [item] = between.preprocess(png(7), between.parse_options({})).items
    assert np.array_equal(item["image"], item["image_to"])
    assert item["mix"] == 0


def test_what_this_model_does_not_do_is_refused(
    denoiser: ImageReconstruction, between: ImageReconstruction
) -> None:
    pair = {"image": base64_of(png(0)), "interpolate_to": base64_of(png(1))}
    with pytest.raises(InputError, match="takes one picture"):
        denoiser.preprocess(denoiser.read_json(pair), denoiser.parse_options({}))
    with pytest.raises(OptionInvalid, match="not taught to take noise away"):
        between.parse_options({"noise": 0.1})
    with pytest.raises(InputError, match="nothing else"):
        between.read_json({"interpolate_to": base64_of(png(1))})
    assert "interpolate_to" not in str(denoiser.instance_schema())
    assert "interpolate_to" in str(between.instance_schema())


@pytest.mark.parametrize(
    "options",
    [{"noise": -0.1}, {"noise": 1.5}, {"noise": float("nan")}, {"frames": 1}, {"seed": -1}],
)
def test_options_out_of_bounds_are_named(
    denoiser: ImageReconstruction, options: dict[str, object]
) -> None:
    with pytest.raises(OptionInvalid) as refused:
        denoiser.parse_options(options)
    assert refused.value.option in options


def test_a_broken_second_picture_is_named(between: ImageReconstruction) -> None:
    instance = between.read_json({"image": base64_of(png(0)), "interpolate_to": "bm8="})
    with pytest.raises(InputError, match=r"^interpolate_to: not a picture"):
        between.preprocess(instance, between.parse_options({}))


def test_an_answer_that_is_no_number_is_the_models_fault(denoiser: ImageReconstruction) -> None:
    options = denoiser.parse_options({})
    prepared = denoiser.preprocess(png(0), options)
    with pytest.raises(InferenceFailed):
        denoiser.postprocess(
            [{"redrawn": np.full((1, 8, 8), np.nan, np.float32)}], prepared, options
        )


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path) -> None:
    bundle = redrawer_bundle(tmp_path / "repository")
    marks = bundle.manifest.postprocessing.model_copy(
        update={"second_input": "image_to", "mix_input": "mix"}
    )
    manifest = bundle.manifest.model_copy(update={"postprocessing": marks})
    with pytest.raises(ManifestInvalid, match="inputs must be"):
        ImageReconstruction(Bundle(bundle.path, manifest))
