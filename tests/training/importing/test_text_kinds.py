"""A served checkpoint that reads text answers what its library answers, whatever its architecture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import InputError
from tests.training.importing import checkpoints
from tests.training.importing.checkpoints import named, save, sentence_model, text_network
from tests.training.importing.served import ask, imported, library, silenced
from training.importing.samples import PAIRS, TEXTS

_LONG = TEXTS[-1]


def _families(quick: str, *others: str) -> list[Any]:
    return [quick, *(pytest.param(name, marks=pytest.mark.slow) for name in others)]


@pytest.mark.parametrize(
    "family", _families("Bert", "DistilBert", "Roberta", "XLMRoberta", "MPNet", "DebertaV2")
)
def test_text_classification(family: str, tmp_path: Path) -> None:
    network = text_network(family, "ForSequenceClassification", **named("bad", "so-so", "good"))
    folder = save(tmp_path / "mine", *network)
    bundle, theirs = imported(folder), library("text-classification", folder)
    assert [gate.name for gate in bundle.manifest.gates] == ["parity", "library-parity"]
    best = set()
    for text in (TEXTS[0], TEXTS[4], _LONG):
        with silenced():
            expected = theirs(text, top_k=None, truncation=True)
        answer = ask(bundle, text, {"truncate": True})
        assert [row["label"] for row in answer["labels"]] == [row["label"] for row in expected]
        for row, other in zip(answer["labels"], expected, strict=True):
            assert row["score"] == pytest.approx(other["score"], abs=1e-5)
        best.add(round(answer["score"], 4))
    assert len(best) > 1  # it did read them


@pytest.mark.slow
def test_several_labels_may_hold_at_once(tmp_path: Path) -> None:
    network = text_network(
        "Bert",
        "ForSequenceClassification",
        **named("a", "b", "c"),
        problem_type="multi_label_classification",
    )
    folder = save(tmp_path / "mine", *network)
    bundle, theirs = imported(folder), library("text-classification", folder)
    with silenced():
        expected = {row["label"]: row["score"] for row in theirs(TEXTS[0], top_k=None)}
    answer = ask(bundle, TEXTS[0])
    assert sum(expected.values()) != pytest.approx(1, abs=1e-3)
    assert {row["label"]: row["score"] for row in answer["labels"]} == pytest.approx(
        expected, abs=1e-5
    )


@pytest.mark.parametrize("family", _families("Bert", "Roberta"))
def test_token_classification(family: str, tmp_path: Path) -> None:
    """With tags that only begin, no sequence is forbidden: the pipeline's own entities are ours."""
    tags = named("O", "B-PER", "B-LOC")
    folder = save(tmp_path / "mine", *text_network(family, "ForTokenClassification", **tags))
    bundle = imported(folder)
    if family != "Bert":
        return  # compared by tokens at import: the pipeline's words are another thing than ours there
    theirs = library("token-classification", folder, aggregation_strategy="first")
    found = 0
    for text in TEXTS[:3]:
        with silenced():
            expected = theirs(text)
        answer = ask(bundle, text)
        found += len(expected)
        places = [(e["start"], e["end"], e["label"]) for e in answer["entities"]]
        assert places == [(e["start"], e["end"], e["entity_group"]) for e in expected]
        for entity, other in zip(answer["entities"], expected, strict=True):
            assert entity["score"] == pytest.approx(float(other["score"]), abs=1e-5)
    assert found > 0


@pytest.mark.parametrize("family", _families("Bert", "Roberta"))
def test_question_answering(family: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "mine", *text_network(family, "ForQuestionAnswering"))
    bundle = imported(folder)
    question, context = PAIRS[3]
    answer = ask(bundle, {"question": question, "context": context})
    start, end = _best_span(folder, question, context)
    assert context[answer["start"] : answer["end"]] == answer["answer"]
    assert (answer["start"], answer["end"]) == (start, end)


def _best_span(folder: Path, question: str, context: str) -> tuple[int, int]:
    import torch
    import transformers

    with silenced():
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        network: Any = transformers.AutoModelForQuestionAnswering.from_pretrained(folder)
        read = tokenizer(question, context, return_offsets_mapping=True, return_tensors="pt")
        offsets = read.pop("offset_mapping")[0].tolist()
        with torch.inference_mode():
            found = network(**read)
    inside = [token for token, which in enumerate(read.sequence_ids(0)) if which == 1]
    sums = {
        (a, b): float(found.start_logits[0, a] + found.end_logits[0, b])
        for a in inside
        for b in inside
        if a <= b < a + 30
    }
    first, last = max(sums, key=lambda span: sums[span])
    piece = context[offsets[first][0] : offsets[last][1]]
    start = offsets[first][0] + len(piece) - len(piece.lstrip())
    return start, start + len(piece.strip())


@pytest.mark.parametrize(
    ("family", "pooling", "more"),
    [
        ("Bert", "mean", {"normalise": True}),
        pytest.param("Roberta", "max", {"dense": 8, "normalise": True}, marks=pytest.mark.slow),
        pytest.param("XLMRoberta", "lasttoken", {}, marks=pytest.mark.slow),
        pytest.param("DistilBert", ("mean", "cls"), {"dense": 8}, marks=pytest.mark.slow),
    ],
    ids=["mean-normalised", "max-dense-normalised", "lasttoken", "mean+cls-dense"],
)
def test_sentence_embedding(
    family: str, pooling: Any, more: dict[str, Any], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = sentence_model(tmp_path / "mine", family, pooling, **more)
    bundle = imported(folder)
    with silenced():
        expected = SentenceTransformer(str(folder), device="cpu").encode([TEXTS[2], _LONG])
    for text, theirs in zip((TEXTS[2], _LONG), expected, strict=True):
        ours = np.asarray(ask(bundle, text, {"truncate": True})["embedding"])
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 0.01


@pytest.mark.slow
def test_prompts_stand_before_the_text(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    prompts = {"query": "query: ", "passage": "a passage of text: "}
    folder = sentence_model(
        tmp_path / "mine", "Bert", "mean", prompts=prompts, default_prompt_name="passage"
    )
    bundle = imported(folder)
    with silenced():
        model = SentenceTransformer(str(folder), device="cpu")
        by_name = {name: model.encode([TEXTS[0]], prompt_name=name)[0] for name in prompts}
    assert np.abs(by_name["query"] - by_name["passage"]).max() > 0.01
    named_query = ask(bundle, TEXTS[0], {"prompt_name": "query"})
    np.testing.assert_allclose(named_query["embedding"], by_name["query"], atol=1e-5)
    np.testing.assert_allclose(ask(bundle, TEXTS[0])["embedding"], by_name["passage"], atol=1e-5)
    with pytest.raises(InputError, match="it has: passage, query"):
        ask(bundle, TEXTS[0], {"prompt_name": "quarry"})


def test_text_similarity(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    network = text_network("Bert", "ForSequenceClassification", **named("score"))
    folder = save(tmp_path / "mine", *network)
    bundle = imported(folder)
    assert bundle.manifest.task == "text-similarity"
    with silenced():
        expected = CrossEncoder(str(folder), device="cpu").predict([PAIRS[0], PAIRS[3]])
    for (first, second), score in zip((PAIRS[0], PAIRS[3]), expected, strict=True):
        answer = ask(bundle, {"text": first, "text_pair": second}, {"truncate": True})
        assert answer["score"] == pytest.approx(float(score), abs=1e-5)
    assert abs(expected[0] - expected[1]) > 1e-5


@pytest.mark.slow
def test_a_tokenizer_without_its_file_is_converted(tmp_path: Path) -> None:
    network, _ = text_network("Bert", "ForSequenceClassification", **named("a", "b"))
    folder = save(tmp_path / "mine", network)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 96}')
    bundle, theirs = imported(folder), library("text-classification", folder)
    with silenced():
        expected = theirs(TEXTS[0], top_k=None)
    assert ask(bundle, TEXTS[0])["score"] == pytest.approx(expected[0]["score"], abs=1e-5)


def test_sizes_of_the_samples() -> None:
    """The long text is longer than what the checkpoints here take: cutting is part of what is compared."""
    assert len(checkpoints.word_pieces()(_LONG)["input_ids"]) > checkpoints.MAX_TOKENS
