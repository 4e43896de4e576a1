import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from models.errors import (
    ImageError,
    InferenceFailed,
    InputError,
    ManifestInvalid,
    TextEmpty,
    TextTooLong,
)
from models.golden import Golden
from service.tasks.image_classification import ImageClassification
from service.tasks.text_classification import TextClassification
from tests.service.bundles import digits_bundle, language_bundle
from tests.service.tasks.rows import concluded


@pytest.fixture
def digits(tmp_path: Path) -> ImageClassification:
    return ImageClassification(digits_bundle(tmp_path / "repository"))


@pytest.fixture
def languages(tmp_path: Path) -> TextClassification:
    return TextClassification(language_bundle(tmp_path / "repository"))


def _png(size: tuple[int, int], mode: str = "L") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 255 if mode == "L" else (255, 255, 255)).save(out, format="PNG")
    return out.getvalue()


def test_scores_are_the_calibrated_softmax_best_first(digits: ImageClassification) -> None:
    logits = np.zeros(10, np.float32)
    logits[[7, 1]] = 3, 2
    answer = concluded(digits, {"logits": logits}, {})
    expected = np.exp(logits) / np.exp(logits).sum()
    assert answer["label"] == "7"
    assert answer["score"] == pytest.approx(expected[7])
    assert [row["label"] for row in answer["labels"]] == ["7", "1", "0"]  # the bundle says three
    assert digits.answer.model_validate(answer)


def test_the_caller_may_ask_for_fewer_or_more_labels(digits: ImageClassification) -> None:
    row = {"logits": np.arange(10, dtype=np.float32)}
    for k in (1, 10):
        assert len(concluded(digits, row, {"top_k": k})["labels"]) == k


def test_an_answer_that_is_no_number_is_the_models_failure(digits: ImageClassification) -> None:
    with pytest.raises(InferenceFailed):
        concluded(digits, {"logits": np.full(10, np.nan, np.float32)}, {})


def test_labels_that_do_not_match_the_classes_are_refused_at_load(tmp_path: Path) -> None:
    bundle = digits_bundle(tmp_path / "repository")
    spec = bundle.manifest.outputs[0].model_copy(update={"shape": ("batch", 11)})
    manifest = bundle.manifest.model_copy(update={"outputs": (spec,)})
    with pytest.raises(ManifestInvalid, match="11 classes but 10 labels"):
        ImageClassification(Bundle(bundle.path, manifest))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"top_k": 0}, "option 'top_k': input should be greater than or equal to 1"),
        ({"top_k": "many"}, "option 'top_k': input should be a valid integer"),
        ({"topk": 3}, "option 'topk' is unknown; image-classification models take: top_k"),
    ],
)
def test_wrong_options_are_named(
    digits: ImageClassification, given: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        digits.parse_options(given)


def test_a_picture_of_any_size_becomes_the_models_pixels(digits: ImageClassification) -> None:
    options = digits.parse_options({})
    [item] = digits.preprocess(digits.read_bytes(_png((64, 48), "RGB")), options).items
    assert item["image"].shape == (1, 8, 8)
    assert np.allclose(item["image"], 1.0)


def test_numbers_are_the_graphs_own_input(digits: ImageClassification) -> None:
    pixels = np.random.default_rng(0).random((1, 8, 8), dtype=np.float32)
    [item] = digits.preprocess(digits.read_json(pixels.tolist()), digits.parse_options({})).items
    assert np.array_equal(item["image"], pixels)


def test_the_example_is_the_exams_own_picture(digits: ImageClassification) -> None:
    golden = Golden.from_bytes(digits.bundle.read("golden.npz"))
    [item] = digits.preprocess(digits.read_json(digits.example()), digits.parse_options({})).items
    assert np.array_equal(item["image"], golden.inputs["image"][0])


@pytest.mark.parametrize("damage", [b"", b"GIF89a", b"%!PS-Adobe", _png((8, 8))[:40]])
def test_a_damaged_picture_is_undecodable(digits: ImageClassification, damage: bytes) -> None:
    with pytest.raises(ImageError):
        digits.preprocess(damage, digits.parse_options({}))


def test_a_picture_is_always_prepared_off_the_event_loop(digits: ImageClassification) -> None:
    # 5,000 × 5,000 pixels fit into 30 kB of PNG.
    assert digits.is_heavy(base64.b64decode(str(digits.example())))


def test_text_becomes_ids_and_mask(languages: TextClassification) -> None:
    [item] = languages.preprocess("hej", languages.parse_options({})).items
    assert item["input_ids"].shape == item["attention_mask"].shape == (3,)


def test_long_text_is_refused_unless_truncation_is_asked_for(languages: TextClassification) -> None:
    with pytest.raises(TextTooLong, match="more than 32 tokens"):
        languages.preprocess("a" * 33, languages.parse_options({}))
    [item] = languages.preprocess(
        "a" * 1_000_000, languages.parse_options({"truncate": True})
    ).items
    assert item["input_ids"].shape == (32,)


def test_empty_text_is_refused(languages: TextClassification) -> None:
    with pytest.raises(TextEmpty):
        languages.preprocess("", languages.parse_options({}))


@pytest.mark.parametrize("text", ["\0", "\u202eabc", "שלום", "e\u0301", "👩‍👩‍👧"])
def test_odd_characters_are_text_like_any_other(languages: TextClassification, text: str) -> None:
    assert languages.preprocess(text, languages.parse_options({})).items[0]["input_ids"].size


def test_the_example_is_the_exams_own_text(languages: TextClassification) -> None:
    assert languages.example() == "hej där"
