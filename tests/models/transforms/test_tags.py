"""Tags become entities by stated rules, whatever the scores."""

import itertools

import numpy as np
import pytest

from models.errors import ManifestInvalid
from models.transforms.tags import (
    Span,
    TagDecoder,
    entities,
    read_tag,
    strict_entities,
    to_bio,
    word_probabilities,
)

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-PER I-PER O", [Span("PER", 1, 3)]),
        ("B-PER B-PER", [Span("PER", 0, 1), Span("PER", 1, 2)]),
        ("B-PER I-LOC", [Span("PER", 0, 1)]),
        ("I-PER I-PER", []),
        ("O I-PER B-PER", [Span("PER", 2, 3)]),
        ("B-PER O I-PER", [Span("PER", 0, 1)]),
        ("B-PER I-LOC I-PER", [Span("PER", 0, 1)]),
        ("B-PER I-PER B-LOC I-LOC I-LOC", [Span("PER", 0, 2), Span("LOC", 2, 5)]),
        ("", []),
    ],
)
def test_strictly_only_a_beginning_begins(tags: str, expected: list[Span]) -> None:
    assert strict_entities(tags.split()) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("I-PER I-PER B-PER O", ["B-PER", "I-PER", "B-PER", "O"]),  # IOB1
        ("B-PER E-PER S-LOC S-LOC O", ["B-PER", "I-PER", "B-LOC", "B-LOC", "O"]),  # BIOES
        ("B-PER L-PER U-LOC O", ["B-PER", "I-PER", "B-LOC", "O"]),  # BILOU
        ("B-PER I-PER I-LOC", ["B-PER", "I-PER", "B-LOC"]),
        ("E-PER I-PER", ["B-PER", "B-PER"]),
        ("PER PER LOC", ["B-PER", "I-PER", "B-LOC"]),
        ("O O", ["O", "O"]),
    ],
)
def test_every_scheme_is_kept_as_bio(tags: str, expected: list[str]) -> None:
    assert to_bio(tags.split()) == expected
    assert to_bio(expected) == expected
    assert strict_entities(expected) == entities(tags.split())


def test_a_type_may_hold_a_dash_and_a_name_without_prefix_is_a_type() -> None:
    assert read_tag("B-work-of-art") == ("B", "work-of-art")
    assert read_tag("X-ray") == ("I", "X-ray")


def test_the_likeliest_allowed_sequence_wins_over_the_likeliest_tags() -> None:
    rows = np.array(
        [[0.45, 0.40, 0.05, 0.05, 0.05], [0.05, 0.05, 0.80, 0.05, 0.05]], dtype=np.float32
    )
    assert [BIO[tag] for tag in rows.argmax(axis=1)] == ["O", "I-PER"]  # which no one may say
    assert [BIO[tag] for tag in TagDecoder(BIO).best(rows)] == ["B-PER", "I-PER"]


def test_the_search_finds_what_trying_everything_finds() -> None:
    generator, decoder = np.random.default_rng(0), TagDecoder(BIO)
    for _ in range(30):
        scores = generator.random((4, len(BIO))).astype(np.float32)
        allowed = [
            path
            for path in itertools.product(range(len(BIO)), repeat=4)
            if to_bio([BIO[tag] for tag in path]) == [BIO[tag] for tag in path]
        ]
        best = max(allowed, key=lambda path: sum(np.log(scores[range(4), path])))
        assert decoder.best(scores).tolist() == list(best)


def test_an_entity_scores_the_mean_probability_of_its_type() -> None:
    rows = np.array([[0.1, 0.7, 0.2, 0, 0], [0.3, 0.1, 0.5, 0, 0.1], [1, 0, 0, 0, 0]], np.float32)
    [(span, score)] = TagDecoder(BIO).spans(rows)
    assert span == Span("PER", 0, 2)
    assert score == pytest.approx((0.9 + 0.6) / 2)


def test_other_schemes_are_read_as_they_are() -> None:
    decoder = TagDecoder(("O", "PER", "LOC"))
    found = decoder.spans(np.eye(3, dtype=np.float32)[[1, 1, 2, 0, 1]])
    assert [span for span, _ in found] == [
        Span("PER", 0, 2),
        Span("LOC", 2, 3),
        Span("PER", 4, 5),
    ]


def test_a_model_without_tags_is_refused() -> None:
    with pytest.raises(ManifestInvalid):
        TagDecoder(())


def test_no_words_have_no_entities() -> None:
    assert TagDecoder(BIO).spans(np.zeros((0, 5), np.float32)) == []


LOGITS = np.log(
    np.array([[0.5, 0.5], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], dtype=np.float32)
)


@pytest.mark.parametrize(
    ("how", "expected"),
    [("first", [0.6, 0.2]), ("mean", [0.35, 0.25]), ("max", [0.1, 0.2])],
)
def test_a_words_tokens_decide_together_as_the_manifest_says(
    how: str, expected: list[float]
) -> None:
    word_ids = np.array([-1, 0, 0, 2, 2])
    words, probabilities = word_probabilities(LOGITS, word_ids, how)  # type: ignore[arg-type]
    assert words.tolist() == [0, 2]
    assert probabilities[:, 0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("how", ["first", "mean", "max"])
def test_padding_and_special_tokens_belong_to_no_word(how: str) -> None:
    padded = np.vstack([LOGITS, LOGITS])
    words, probabilities = word_probabilities(padded, np.array([-1, 0, -1]), how)  # type: ignore[arg-type]
    assert words.tolist() == [0]
    assert probabilities[0] == pytest.approx([0.6, 0.4], abs=1e-6)
    none, empty = word_probabilities(padded, np.array([-1, -1]), how)  # type: ignore[arg-type]
    assert none.size == 0
    assert empty.shape == (0, 2)
