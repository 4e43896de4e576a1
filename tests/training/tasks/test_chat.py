"""Chat from nothing, from a base and with adapters: published with its template, judged to the letter."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from models.blocks import GenerationPostprocessing, PromptPreprocessing
from models.bundle import Bundle
from service.tasks.text_generation import TextGeneration
from tests.training.fake_work import silent_reporter
from training.chat_template import CONTROL_TOKENS
from training.data.byte_tokenizer import token_sizes, train_tokenizer
from training.data.conversations import Conversation, encode
from training.decoder_checkpoint import load_decoder
from training.errors import DataError
from training.networks.decoder import DecoderConfig
from training.pipeline import Request, run
from training.tasks.chat_judge import HeldOutChat, evaluations, nearest_question, score
from training.work import Arrays

SMALL = (
    "decoder.width=32",
    "decoder.heads=2",
    "decoder.kv_heads=1",
    "decoder.layers=1",
    "decoder.hidden=48",
    "decoder.context=64",
    "vocabulary=300",
    "batch_size=4",
    "max_steps=6",
    "epochs=1",
    "cpu_threads=1",
    "precision=fp32",
    "gates.beats=",
)
CONFIG = DecoderConfig(context=64, width=32, layers=1, heads=2, kv_heads=1, hidden=16)


def turns(question: str, answer: str) -> Conversation:
    return Conversation(
        ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chat")
    lines = [
        json.dumps({"messages": turns(f"Say {n}.", f"It is {n}.").messages}) for n in range(60)
    ]
    (path / "chat.jsonl").write_text("\n".join(lines))
    (path / "song.txt").write_text("".join(f"{n} green bottles on the wall,\n" for n in range(300)))
    return path


def train(folder: Path, recipe: str, data: str, *settings: str) -> Bundle:
    given = (*SMALL, *settings)
    request = Request(recipe, folder / data, given, folder / "repository", folder / "runs")
    return run(request, silent_reporter()[0])


@pytest.fixture(scope="module")
def base(folder: Path) -> Bundle:
    more = ("epoch_windows=24", "checkpoint=true", "judged_overlap=0")
    return train(folder, "language-model", "song.txt", *more)


@pytest.fixture(scope="module")
def adapted(folder: Path, base: Bundle) -> Bundle:
    return train(folder, "chat", "chat.jsonl", f"base={base.path}", "lora.rank=4", "name=adapted")


def test_bundle_says_how_to_chat_with_it(adapted: Bundle) -> None:
    prompt, answer = adapted.manifest.preprocessing, adapted.manifest.postprocessing
    assert isinstance(prompt, PromptPreprocessing)
    assert isinstance(answer, GenerationPostprocessing)
    assert prompt.chat_template == "chat_template.jinja"
    assert prompt.tool_call_format == "none"
    assert len(answer.stop_token_ids) == 2
    metrics = [entry.metric for entry in adapted.manifest.evaluation]
    assert metrics == ["answer-bits-per-byte", "exact-match"]
    assert TextGeneration(adapted).chat is not None


def test_adapters_are_merged_and_only_new_tokens_changed_the_embedding(
    folder: Path, base: Bundle, adapted: Bundle
) -> None:
    before = load_decoder(str(base.path)).weights
    after = torch.load(folder / "runs/adapted/best.pt", weights_only=True)
    known = len(before["embedding.weight"])
    assert torch.equal(after["network.embedding.weight"][:known], before["embedding.weight"])
    assert len(after["network.embedding.weight"]) == known + len(CONTROL_TOKENS)
    name = "blocks.0.attention.qkv"
    base_layer = after[f"network.{name}.base_layer.weight"]
    assert torch.equal(base_layer, before[f"{name}.weight"])
    assert (folder / "repository/adapted/1/model.onnx").stat().st_size < 1.2 * base.size_bytes


def test_a_base_may_be_a_run_and_sets_sizes_and_tokenizer(folder: Path, base: Bundle) -> None:
    run_folder = folder / "runs/language-model"
    other = ("decoder.norm_eps=0.01", "name=continued")
    bundle = train(folder, "chat", "chat.jsonl", f"base={run_folder}", *other)
    assert bundle.manifest.provenance is not None
    assert bundle.manifest.provenance.config["decoder"]["norm_eps"] == 1e-5


@pytest.mark.parametrize("source", ["absent", "."])
def test_a_base_that_is_none_is_a_clear_error(folder: Path, source: str) -> None:
    with pytest.raises(DataError, match="base"):
        train(folder, "chat", "chat.jsonl", f"base={folder / source}", "name=none")


def test_exact_match_is_what_greedy_decoding_would_write() -> None:
    conversations = [turns("a?", "b."), turns("c?", "d."), turns("e?", "f.")]
    tokenizer = train_tokenizer(["abcdef"], 0, "bytes", special=CONTROL_TOKENS)
    encoded = [encode(entry, tokenizer) for entry in conversations]
    chat = HeldOutChat(
        "test", "by hand", conversations[:1], conversations, encoded, token_sizes(tokenizer)
    )
    wrong = tokenizer.encode("d").ids[0]

    def all_but_d(inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Knows what comes next everywhere, but never writes a d."""
        following = np.roll(inputs["ids"], -1, axis=1)
        for row, ids in zip(following, inputs["ids"], strict=True):
            match = next(e.ids for e in encoded if np.array_equal(e.ids[: len(ids)], ids))
            row[:] = match[1 : len(ids) + 1]
        logits = np.eye(tokenizer.get_vocab_size(), dtype=np.float32)[following.ravel()] * 9
        logits[:, wrong] = -9
        return {"logits": logits}

    assert score(chat, CONFIG, all_but_d).is_right.tolist() == [True, False, True]
    exact, bits = evaluations(chat, CONFIG, all_but_d, 0, exact_first=True)
    assert (exact.metric, exact.value) == ("exact-match", pytest.approx(2 / 3))
    assert bits.samples == sum(len(entry.answer) for entry in conversations)
    assert nearest_question(chat) == pytest.approx(1 / 3)


def test_only_the_last_answer_has_to_match() -> None:
    first, last = turns("a?", "b."), turns("c?", "d.")
    both = Conversation((*first.messages, *last.messages))
    tokenizer = train_tokenizer(["abcd"], 0, "bytes", special=CONTROL_TOKENS)
    encoded = encode(both, tokenizer)
    chat = HeldOutChat("t", "t", [first], [both], [encoded], token_sizes(tokenizer))
    wrong = tokenizer.encode("b").ids[0]

    def all_but_b(inputs: Mapping[str, np.ndarray]) -> Arrays:
        logits = np.eye(tokenizer.get_vocab_size(), dtype=np.float32)[encoded.ids[1:]] * 9
        logits[:, wrong] = -9
        return {"logits": logits}

    assert score(chat, CONFIG, all_but_b).is_right.tolist() == [True]
