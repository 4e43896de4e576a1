"""Text to text: data of every form, networks of every kind, figures by both searches, honest parity."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.blocks import GenerationPostprocessing, SourceTextPreprocessing
from training import recipes, settings
from training.errors import DataError
from training.networks.cross_plan import torch_bundle
from training.networks.seq2seq_recurrent import RecurrentSeq2Seq
from training.networks.seq2seq_t5 import T5Seq2Seq
from training.tasks.text_to_text import TextToTextWork
from training.work import Predict


def work(recipe: str, *more: str, data: Path | None = None) -> TextToTextWork:
    entry = recipes.get(recipe)
    config = settings.with_settings(entry.build_config(own_data=data is not None), entry.tiny)
    made = entry.work_class()(settings.with_settings(config, more), data)
    assert isinstance(made, TextToTextWork)
    made.prepare()
    return made


def asked(prepared: TextToTextWork) -> Predict:
    torch.manual_seed(0)
    module = prepared.lightning_module().eval()
    prepared.export_plan(module)
    return torch_bundle(module.network)


def parallel(folder: Path) -> Path:
    for split, count in (("train", 60), ("val", 4), ("test_2016_flickr", 6)):
        for language, word in (("de", "Hund"), ("en", "dog")):
            lines = [f"{word} {split} {number}" for number in range(count)]
            (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n")
    return folder


def test_parallel_files_are_read_in_the_said_direction(tmp_path: Path) -> None:
    prepared = work("translation", "source=en", data=parallel(tmp_path))
    summary = prepared.data_summary()
    assert "en → de" in summary["pairs"]
    assert "6 pairs (test_2016_flickr)" in summary["test"]
    assert prepared.texts.pairs.train.first[0].startswith("dog")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "a.tsv",
            "article\tsummary\n" + "".join(f"long text {n} x\ttext {n}\n" for n in range(40)),
        ),
        ("a.csv", "id,summary,document\n" + "".join(f"{n},t {n},long {n}\n" for n in range(40))),
        (
            "a.jsonl",
            "".join(
                json.dumps({"highlights": f"t {n}", "article": f"long {n}", "id": n}) + "\n"
                for n in range(40)
            ),
        ),
    ],
)
def test_tables_of_articles_and_summaries_are_read_by_their_columns_names(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    pairs = work("summarization", data=tmp_path / name).texts.pairs
    assert all(text.startswith("long") for text in pairs.train.first)
    assert all(text.startswith("t") for text in pairs.train.second)


def test_columns_may_be_said(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("".join(f"{n}\tread {n}\tx\twrite {n}\n" for n in range(40)))
    pairs = work("translation", "source_column=2", "target_column=4", data=path).texts.pairs
    assert pairs.train.first[0].startswith("read")
    assert pairs.train.second[0].startswith("write")


def test_pairs_that_are_too_long_are_left_out_of_training_and_cut_in_the_test(
    tmp_path: Path,
) -> None:
    folder = parallel(tmp_path)
    with (folder / "train.en").open("a") as english, (folder / "train.de").open("a") as german:
        english.write("dog " * 100 + "\n")
        german.write("Hund\n")
    for language in ("de", "en"):
        (folder / f"test_2016_flickr.{language}").write_text("Hund dog " * 60 + "\n")
    prepared = work("translation", "max_source_tokens=40", data=folder)
    assert "1 training pairs longer than allowed left out" in prepared.data_summary()["notes"]
    [source] = prepared._test.source
    assert len(source) == 40
    assert source[-1] == 0


def test_nothing_short_enough_is_told() -> None:
    with pytest.raises(DataError, match="raise max_source_tokens"):
        work("translation", "max_source_tokens=4", "max_answer_tokens=4")


def test_sides_may_have_vocabularies_of_their_own(tmp_path: Path) -> None:
    prepared = work(
        "translation", "shared_vocabulary=false", "vocabulary=280", data=parallel(tmp_path)
    )
    module = prepared.lightning_module()
    assert module.network.source_embedding is not module.network.embedding
    block = prepared.draft(module).preprocessing
    assert isinstance(block, SourceTextPreprocessing)
    assert block.target_tokenizer == "target_tokenizer.json"
    prepared.write_assets(tmp_path)
    assert (tmp_path / "tokenizer.json").is_file()
    assert (tmp_path / "target_tokenizer.json").is_file()


def test_manifest_says_how_answers_begin_end_and_are_searched() -> None:
    prepared = work("translation", "num_beams=3", "length_penalty=0.7", "source_prefix=say:")
    draft = prepared.draft(prepared.lightning_module())
    before, after = draft.preprocessing, draft.postprocessing
    assert isinstance(before, SourceTextPreprocessing)
    assert isinstance(after, GenerationPostprocessing)
    assert (draft.task, draft.runner) == ("text-to-text", "generation")
    assert before.source_prefix == "say: "
    assert before.decoder_start_token_id in after.stop_token_ids  # one token for both
    assert (after.num_beams, after.length_penalty) == (3, 0.7)
    assert after.default_max_tokens < before.context_tokens


def test_translation_is_judged_by_both_searches_beside_simpler_methods() -> None:
    prepared = work("translation")
    figures = prepared.evaluate(asked(prepared))
    assert [figure.metric for figure in figures] == ["bleu", "chrf", "bleu-greedy", "chrf-greedy"]
    main = figures[0]
    assert main.interval is not None
    assert set(main.baselines) == {"copy-source", "nearest-source"}
    assert main.split.endswith("beam search, 2 beams")
    assert figures[2].split.endswith("greedy search")
    [table] = prepared.tables(asked(prepared))
    assert any("tok:13a" in " ".join(row) for row in table.rows)


def test_summaries_are_judged_by_rouge_beside_the_first_sentence() -> None:
    prepared = work("summarization", "num_beams=1")
    figures = prepared.evaluate(asked(prepared))
    assert [figure.metric for figure in figures] == ["rouge-l", "rouge-2", "rouge-1"]
    assert set(figures[0].baselines) == {"copy-source", "nearest-source", "first-sentence"}
    # The sentence that decides is hardly ever the first one.
    assert figures[0].baselines["first-sentence"] < 0.5


def test_greedy_answers_of_another_network_are_no_parity() -> None:
    prepared = work("translation-gru")
    mine = asked(prepared)
    [same] = prepared.verify_more(mine, mine)
    assert same.passed
    assert same.measured == 0
    other = prepared.lightning_module().eval().network
    assert isinstance(other, RecurrentSeq2Seq)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(3.0)
    [gate] = prepared.verify_more(mine, torch_bundle(other))
    assert gate.measured > 0
    assert "of 24 greedy answers" in gate.detail


def test_golden_exam_asks_both_graphs() -> None:
    prepared = work("translation")
    inputs, outputs = prepared.golden(asked(prepared))
    assert {"input_ids", "attention_mask", "ids", "past.0.key"} <= inputs.keys()
    assert set(outputs) == {"cross.0.key", "cross.0.value", "logits"}
    assert len(inputs["ids"]) == 3
    assert inputs["attention_mask"].sum(axis=1).tolist() != [inputs["ids"].shape[1]] * 3


def test_training_lowers_the_loss_of_every_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for recipe in ("translation", "translation-gru"):
        prepared = work(recipe, "generated.train=64", "batch_size=256")
        torch.manual_seed(0)
        module = prepared.lightning_module().train()
        monkeypatch.setattr(module, "log", lambda *_, **__: None)
        optimizer = torch.optim.Adam(module.network.parameters(), lr=5e-3)
        losses = []
        for _ in range(3):
            for batch in prepared.train_loader():
                loss = module.training_step(batch, 0)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                losses.append(float(loss.detach()))
        assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.3, recipe


def test_a_t5_checkpoint_is_fine_tuned_with_its_own_tokens(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "t5")
    prepared = work("translation", f"pretrained.source={folder}", data=parallel(tmp_path))
    module = prepared.lightning_module()
    assert isinstance(module.network, T5Seq2Seq)
    draft = prepared.draft(module)
    assert isinstance(draft.preprocessing, SourceTextPreprocessing)
    assert isinstance(draft.postprocessing, GenerationPostprocessing)
    assert draft.preprocessing.decoder_start_token_id == 0
    assert draft.postprocessing.stop_token_ids == (1,)
    batch = next(iter(prepared.train_loader()))
    assert set(batch.answer[:, 0].tolist()) == {0}
    ends = [row[row >= 0][-1].item() for row in batch.wanted]
    assert set(ends) == {1}


def test_checkpoints_of_other_arrangements_are_refused_by_name(tmp_path: Path) -> None:
    from transformers import BartConfig, BartForConditionalGeneration

    sizes: dict[str, Any] = {
        "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16,
        "vocab_size": 40, "max_position_embeddings": 32,
    }  # fmt: skip
    BartForConditionalGeneration(BartConfig(**sizes)).save_pretrained(tmp_path / "bart")
    with pytest.raises(DataError, match="a bart model cannot be fine-tuned here; t5 and mt5 can"):
        work("translation", f"pretrained.source={tmp_path / 'bart'}")


def checkpoint(folder: Path) -> Path:
    """A T5 of random weights with a tokenizer that ends texts with token 1."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    from training.data.byte_tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["Hund dog train"], 300, special=("</s>",))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    options: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(), "d_model": 16, "d_kv": 16, "d_ff": 16,
        "num_layers": 1, "num_heads": 1, "decoder_start_token_id": 0,
    }  # fmt: skip
    T5ForConditionalGeneration(T5Config(**options)).save_pretrained(folder)
    library: Any = PreTrainedTokenizerFast  # untyped there
    library(tokenizer_object=tokenizer, eos_token="</s>").save_pretrained(folder)
    return folder
