"""Image embedding: vectors, search in the gallery, comparison of two pictures."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import ImageError, InferenceFailed, InputError, ManifestInvalid
from service.tasks.base import OptionInvalid
from service.tasks.image_embedding import ImageEmbedding
from service.tasks.picture_pair import PicturePair
from tests.service.picture_bundles import GREEN, RED, SAME, embedded, embedder_bundle


def png(colour: str, side: int = 24) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, format="PNG")
    return out.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> ImageEmbedding:
    return ImageEmbedding(embedder_bundle(tmp_path_factory.mktemp("bundle") / "repository"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> ImageEmbedding:
    """Without a gallery and a threshold, with vectors that may be shortened."""
    block = SAME.model_copy(
        update={
            "gallery": None,
            "gallery_names": None,
            "same_threshold": None,
            "may_be_shortened": True,
        }
    )
    folder = tmp_path_factory.mktemp("bare") / "repository"
    return ImageEmbedding(embedder_bundle(folder, block, gallery=None))


def asked(task: ImageEmbedding, value: object, **given: object) -> dict[str, Any]:
    options = task.parse_options(given)
    prepared = task.preprocess(task.read_json(value), options)
    rows = [{"embedding": embedded(item["image"][None])[0]} for item in prepared.items]
    answer = task.postprocess(rows, prepared, options)
    task.answer.model_validate(answer)
    return answer


def test_a_picture_becomes_its_vector_and_finds_what_it_is_like(task: ImageEmbedding) -> None:
    answer = asked(task, b64(png("red")))
    assert np.asarray(answer["embedding"]) == pytest.approx(RED, abs=1e-5)
    assert answer["dimensions"] == 3
    assert [match["name"] for match in answer["matches"]] == ["rose", "leaf", "sky"]
    assert answer["matches"][0]["cosine"] == pytest.approx(1)
    assert answer["cosine"] is answer["is_same"] is answer["threshold"] is None


def test_vector_and_search_may_be_left_out(task: ImageEmbedding) -> None:
    answer = asked(task, b64(png("lime")), return_vector=False, top_k=1)
    assert answer["embedding"] is answer["dimensions"] is None
    assert [match["name"] for match in answer["matches"]] == ["leaf"]
    assert asked(task, b64(png("lime")), top_k=0)["matches"] is None


def test_a_vector_may_be_sent_as_base64_of_float32(task: ImageEmbedding) -> None:
    answer = asked(task, b64(png("lime")), encoding_format="base64")
    numbers = np.frombuffer(base64.b64decode(answer["embedding"]), "<f4")
    assert numbers == pytest.approx(GREEN, abs=1e-5)


def test_two_pictures_are_the_same_from_the_models_threshold_on(task: ImageEmbedding) -> None:
    pair = {"image": b64(png("red")), "compare_with": b64(png("#ff2000", 40))}
    answer = asked(task, pair)
    assert answer["cosine"] == pytest.approx(1 / (1 + (0x20 / 255) ** 2) ** 0.5, abs=1e-4)
    assert (answer["is_same"], answer["threshold"]) == (True, 0.9)
    assert answer["embedding"] is answer["matches"] is None
    assert asked(task, pair, threshold=0.999)["is_same"] is False


def test_without_a_threshold_there_is_a_cosine_and_no_verdict(bare: ImageEmbedding) -> None:
    answer = asked(bare, {"image": b64(png("red")), "compare_with": b64(png("blue"))})
    assert answer["cosine"] == pytest.approx(0, abs=1e-4)
    assert answer["is_same"] is answer["threshold"] is None


def test_only_trained_vectors_are_shortened(task: ImageEmbedding, bare: ImageEmbedding) -> None:
    assert asked(bare, b64(png("#ffff10")), dimensions=2)["embedding"] == pytest.approx(
        np.array([0.5**0.5] * 2), abs=1e-5
    )
    with pytest.raises(OptionInvalid, match="were not trained to be shortened"):
        task.parse_options({"dimensions": 2})
    with pytest.raises(OptionInvalid, match="at most 3"):
        bare.parse_options({"dimensions": 4})


def test_a_search_without_a_gallery_is_refused(bare: ImageEmbedding) -> None:
    assert asked(bare, b64(png("red")))["matches"] is None
    with pytest.raises(OptionInvalid, match="no gallery"):
        bare.parse_options({"top_k": 3})


@pytest.mark.parametrize(
    "value",
    [
        {"compare_with": b64(png("red"))},
        {"image": b64(png("red")), "compare_with": b64(png("red")), "top_k": 2},
        {"image": b64(png("red")), "compare_with": None},
        {"image": 7, "compare_with": b64(png("red"))},
    ],
)
def test_half_a_pair_is_refused(task: ImageEmbedding, value: object) -> None:
    with pytest.raises(InputError):
        task.read_json(value)


def test_the_bad_one_of_two_pictures_is_named(task: ImageEmbedding) -> None:
    pair = PicturePair(png("red"), b"no picture")
    with pytest.raises(ImageError, match=r"^compare_with: not a picture") as caught:
        task.preprocess(pair, task.parse_options({}))
    assert caught.value.status == 422


def test_two_uploads_are_two_pictures_unless_their_names_make_a_pair(task: ImageEmbedding) -> None:
    red, blue = png("red"), png("blue")
    assert task.read_files([("file", red), ("file", blue)]) == [red, blue]
    pair = task.read_files([("compare_with", blue), ("image", red)])
    assert pair == [PicturePair(red, blue)]
    with pytest.raises(InputError, match="one called image and one called compare_with"):
        task.read_files([("compare_with", blue), ("compare_with", red)])


def test_pairs_are_decoded_off_the_loop(task: ImageEmbedding) -> None:
    assert task.is_heavy(PicturePair(png("red"), np.zeros((3, 16, 16), np.float32)))


def test_a_vector_that_is_no_number_is_the_models_fault(task: ImageEmbedding) -> None:
    options = task.parse_options({})
    prepared = task.preprocess(png("red"), options)
    with pytest.raises(InferenceFailed, match="not a number"):
        task.postprocess([{"embedding": np.full(3, np.nan, np.float32)}], prepared, options)


def test_a_gallery_that_does_not_fit_stops_the_model(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        ImageEmbedding(embedder_bundle(tmp_path / "repository", files={"gallery.npz": b"?"}))
