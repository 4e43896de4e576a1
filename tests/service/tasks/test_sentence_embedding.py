"""Texts and token ids on their way to a vector, and pairs on theirs to a score, without a server."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import InferenceFailed, InputError, ManifestInvalid, TextEmpty, TextTooLong
from service.pipeline import Ask, predict
from service.tasks.base import Prepared
from service.tasks.sentence_embedding import SentenceEmbedding
from service.tasks.text_similarity import TextPair, TextSimilarity
from service.tasks.tokens import tokens_of
from tests.service.bundles import tensor_bundle
from tests.service.fakes import serving
from tests.service.tasks.rows import concluded
from tests.service.text_bundles import DIMENSIONS, embedding_bundle, similarity_bundle


@pytest.fixture
def sentences(tmp_path: Path) -> SentenceEmbedding:
    return SentenceEmbedding(embedding_bundle(tmp_path / "repository"))


@pytest.fixture
def pairs(tmp_path: Path) -> TextSimilarity:
    return TextSimilarity(similarity_bundle(tmp_path / "repository"))


def test_many_are_prepared_as_each_is_alone(sentences: SentenceEmbedding) -> None:
    options = sentences.parse_options({})
    given = ["hej", (1, 2, 3), "då", "longer text"]
    together = sentences.preprocess_many(given, options)
    for one, instance in zip(together, given, strict=True):
        alone = sentences.preprocess(instance, options)
        assert one.kept == alone.kept
        for name, array in alone.items[0].items():
            assert np.array_equal(one.items[0][name], array)


def test_many_pairs_are_prepared_as_each_is_alone(pairs: TextSimilarity) -> None:
    options = pairs.parse_options({"truncate": True})
    given = [TextPair("a", "bcd"), TextPair("x" * 90, "y" * 90), TextPair("å", "ß" * 500)]
    together = pairs.preprocess_many(given, options)
    for one, instance in zip(together, given, strict=True):
        [windows] = pairs.encoder.encode_pair(*instance)
        for name, array in windows.row.items():
            assert np.array_equal(one.items[0][name], array)


def test_texts_of_one_request_are_tokenized_off_the_loop(tmp_path: Path) -> None:
    seen: list[str] = []

    class Watched(SentenceEmbedding):
        def preprocess_many(self, instances, options) -> list[Prepared]:  # type: ignore[no-untyped-def]
            seen.append(threading.current_thread().name)
            return super().preprocess_many(instances, options)

    bundle = embedding_bundle(tmp_path / "repository")
    with serving([bundle]) as service:
        model = service.registry.get("sentences")
        task = model.task = Watched(bundle)
        options = task.parse_options({})
        asks = [Ask(f"text {n}", options) for n in range(20)]
        assert service.client.portal is not None
        service.client.portal.call(predict, model, asks)
    windows = -(-20 // (2 * bundle.manifest.batching.max_batch_size))
    assert len(seen) == windows
    assert all(name.startswith("slipway-prepare") for name in seen)


def test_the_answer_says_how_much_was_read(sentences: SentenceEmbedding) -> None:
    row = {"embedding": np.arange(1, DIMENSIONS + 1, dtype=np.float32)}
    answer = concluded(sentences, row, {"dimensions": 2, "normalize": False}, kept=7)
    assert np.array_equal(answer["embedding"], [1, 2])
    assert (answer["dimensions"], answer["tokens"]) == (2, 7)
    coded = concluded(sentences, row, {"encoding_format": "base64"}, kept=7)
    assert sentences.answer.model_validate(coded)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_the_models_failure(
    sentences: SentenceEmbedding, pairs: TextSimilarity, wrong: float
) -> None:
    with pytest.raises(InferenceFailed):
        concluded(sentences, {"embedding": np.full(DIMENSIONS, wrong, np.float32)}, {}, kept=1)
    with pytest.raises(InferenceFailed):
        concluded(pairs, {"logits": np.array([wrong], np.float32)}, {}, kept=1)


@pytest.mark.parametrize(
    "value", [5, None, [1.5], [True], ["a", 1], {"text": 1}, {"other": "a"}, [[1]]]
)
def test_what_is_neither_text_nor_token_ids_is_refused(
    sentences: SentenceEmbedding, value: object
) -> None:
    with pytest.raises(InputError):
        sentences.read_json(value)


def test_lists_are_many_unless_they_are_token_ids(sentences: SentenceEmbedding) -> None:
    assert sentences.split([1, 2]) == [[1, 2]]
    assert sentences.split([[1, 2], "a"]) == [[1, 2], "a"]
    assert sentences.split("a") == ["a"]


def test_too_many_token_ids_are_refused_unless_they_may_be_cut(
    sentences: SentenceEmbedding,
) -> None:
    ids = tuple([1] * 40)
    with pytest.raises(TextTooLong, match="40 token ids, more than 32"):
        sentences.preprocess(ids, sentences.parse_options({}))
    cut = sentences.preprocess(ids, sentences.parse_options({"truncate": True}))
    assert cut.kept == 32


def test_an_empty_half_of_a_pair_is_named(pairs: TextSimilarity) -> None:
    with pytest.raises(TextEmpty, match="second text is empty"):
        pairs.preprocess(TextPair("a", ""), pairs.parse_options({}))


@pytest.mark.parametrize("task", [SentenceEmbedding, TextSimilarity])
def test_bundles_of_other_kinds_are_refused_at_load(tmp_path: Path, task: type) -> None:
    with pytest.raises(ManifestInvalid):
        task(tensor_bundle(tmp_path / "repository"))


def test_an_output_that_is_no_vector_is_refused_at_load(sentences: SentenceEmbedding) -> None:
    spec = sentences.manifest.outputs[0].model_copy(update={"shape": ("batch", "sequence", 8)})
    manifest = sentences.manifest.model_copy(update={"outputs": (spec,)})
    with pytest.raises(ManifestInvalid, match=r"must be \[batch, dimensions\]"):
        SentenceEmbedding(Bundle(sentences.bundle.path, manifest))


def test_special_tokens_stand_for_no_text(pairs: TextSimilarity) -> None:
    [with_special] = tokens_of(pairs, ["hi"], special=True)
    [without] = tokens_of(pairs, ["hi"], special=False)
    assert with_special == without  # the byte tokenizer adds none
    assert [token["text"] for token in without] == ["h", "i"]


def test_half_a_surrogate_is_refused(sentences: SentenceEmbedding) -> None:
    with pytest.raises(InputError):
        tokens_of(sentences, ["\ud83d"], special=True)


def test_long_lists_are_written_in_slices_that_let_others_in() -> None:
    from service.responses import json_list

    async def scenario() -> tuple[bytes, int]:
        turns = 0
        is_done = False

        async def other() -> None:
            nonlocal turns
            while not is_done:
                turns += 1
                await asyncio.sleep(0)

        watching = asyncio.create_task(other())
        rows = [np.zeros(4000, np.float32) for _ in range(200)]
        body = await json_list(rows, {"object": "list"}, "data")
        is_done = True
        await watching
        return body, turns

    body, turns = asyncio.run(scenario())
    assert body.startswith(b'{"object":"list","data":[[0.0,')
    assert body.endswith(b"]]}")
    assert turns > 5


def test_a_short_list_is_plain_json() -> None:
    from service.responses import json_list

    assert asyncio.run(json_list([{"a": 1}, [2]])) == b'[{"a":1},[2]]'
    assert asyncio.run(json_list([], {"n": None}, "data")) == b'{"n":null,"data":[]}'
