"""The tagger is judged on held-out sentences as it will be served, whatever answers."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from models.blocks import TextPreprocessing, TokenClassificationPostprocessing
from models.errors import UsageError
from models.transforms.words import WordEncoder
from training import recipes
from training.data.padded_loader import IGNORED
from training.predict import torch_predict
from training.settings import with_settings
from training.tasks.token_classification import TokenClassificationWork
from training.work import Array, Arrays, Predict


def _work(
    *settings: str, recipe: str = "entities", data: Path | None = None
) -> TokenClassificationWork:
    found = recipes.get(recipe)
    tiny = [
        line for line in found.tiny if line.split("=")[0] not in {s.split("=")[0] for s in settings}
    ]
    config = with_settings(found.build_config(), (*tiny, *settings))
    work = found.work_class()(config, data)
    assert isinstance(work, TokenClassificationWork)
    work.prepare()
    return work


@pytest.fixture(scope="module")
def work() -> TokenClassificationWork:
    return _work()


def oracle(work: TokenClassificationWork) -> Predict:
    """Looks the tags up by the tokens themselves."""
    known = {}
    for split in work._rows.values():
        for tokens in split:
            known[tokens.row["input_ids"].tobytes()] = tokens.row["targets"]

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        shape = (*inputs["input_ids"].shape, len(work.texts.labels))
        logits = np.zeros(shape, dtype=np.float32)
        for row, (ids, mask) in enumerate(
            zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ):
            targets = known[ids[mask == 1].tobytes()]
            for token in np.flatnonzero(targets != IGNORED):
                logits[row, token, targets[token]] = 8.0
        return {"logits": logits}

    return predict


def test_a_perfect_answer_is_measured_as_one_beside_the_commonest_tag(
    work: TokenClassificationWork,
) -> None:
    first, *others = work.evaluate(oracle(work))
    assert (first.metric, first.value, first.samples) == ("entity-f1", 1.0, len(work.texts.test))
    assert first.interval is not None
    assert first.interval.low == first.interval.high == 1.0
    assert first.baselines["commonest-tag"] < 0.5
    named = {row.metric: row.value for row in others}
    assert named["precision of PER"] == named["recall of LOC"] == named["f1 of ORG"] == 1.0
    assert "word calibration-error" in named


def test_an_answer_that_is_always_outside_finds_nothing(work: TokenClassificationWork) -> None:
    def outside(inputs: Mapping[str, Array]) -> Arrays:
        logits = np.zeros((*inputs["input_ids"].shape, len(work.texts.labels)), np.float32)
        logits[..., 0] = 3.0
        return {"logits": logits}

    assert work.evaluate(outside)[0].value == 0.0


def test_the_temperature_is_fitted_on_validation_and_written_down(
    work: TokenClassificationWork,
) -> None:
    work.calibrate(oracle(work))
    assert work.draft(work.lightning_module()).temperature == work.temperature != 1.0


def test_the_assets_make_the_service_read_a_text_as_training_did(
    work: TokenClassificationWork, tmp_path: Path
) -> None:
    work.write_assets(tmp_path)
    draft = work.draft(work.lightning_module())
    assert isinstance(draft.preprocessing, TextPreprocessing)
    assert isinstance(draft.postprocessing, TokenClassificationPostprocessing)
    labels = (tmp_path / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert tuple(labels) == work.texts.labels
    tokenizer = (tmp_path / draft.preprocessing.tokenizer).read_text(encoding="utf-8")
    served = WordEncoder(tokenizer, draft.preprocessing)
    for sentence, tokens in zip(work.texts.test, work._rows["test"], strict=True):
        _, encoded = served.encode_text(" ".join(sentence.words), truncate=True)
        assert np.array_equal(encoded.row["input_ids"], tokens.row["input_ids"])


@pytest.mark.parametrize("length", [None, 3, 33])
def test_samples_are_held_out_sentences_of_the_length_asked_for(
    work: TokenClassificationWork, length: int | None
) -> None:
    inputs, again = work.sample_inputs(4, length), work.sample_inputs(4, length)
    assert all(np.array_equal(inputs[name], again[name]) for name in inputs)
    assert inputs.keys() == {"input_ids", "attention_mask"}
    if length is not None:
        assert inputs["input_ids"].shape == (4, length)
        assert inputs["attention_mask"][0].all()


def test_words_are_split_as_callers_texts_are_and_keep_one_tag(tmp_path: Path) -> None:
    lines = "O'Brien\tB-PER\nSmith-Jones\tI-PER\n,\tO\nU.S.\tB-LOC\n\u200b\tO\n"
    text = "".join(f"{lines}{number}\tO\n\n" for number in range(8))
    (tmp_path / "train.conll").write_text(text, encoding="utf-8")
    work = _work(data=tmp_path / "train.conll")
    whole = [row for split in work._rows.values() for row in split if row.words == 6]
    assert whole
    row = whole[0]
    targets = row.row["targets"]
    assert [work.texts.labels[target] for target in targets[targets != IGNORED]][:10] == [
        "B-PER", "I-PER", "I-PER", "I-PER", "I-PER", "I-PER", "O", "B-LOC", "I-LOC", "I-LOC",
    ]  # fmt: skip
    assert work.evaluate(oracle(work))[0].value == 1.0


def test_sentences_that_are_too_long_are_cut_and_said_to_be() -> None:
    work = _work("max_tokens=8")
    assert "sentences cut at 8 tokens" in work.data_summary()["notes"]
    assert work.evaluate(oracle(work))[0].value < 1.0


def test_the_answer_to_a_sentence_does_not_depend_on_its_neighbours(
    work: TokenClassificationWork,
) -> None:
    torch.manual_seed(0)
    predict = torch_predict(work.export_plan(work.lightning_module()), torch.device("cpu"))
    batch = work.sample_inputs(5, None)
    together = predict(batch)["logits"]
    for row in range(5):
        length = int(batch["attention_mask"][row].sum())
        alone = predict({name: array[row : row + 1, :length] for name, array in batch.items()})
        assert np.allclose(alone["logits"][0], together[row, :length], atol=1e-5)


def test_a_checkpoints_tokenizer_and_limit_are_its_own() -> None:
    work = _work(recipe="entities-pretrained")
    assert work.checkpoint is not None
    assert work.encoder.block.max_tokens == 64
    assert "checkpoint" in work.data_summary()
    assert work.evaluate(oracle(work))[0].value > 0.95  # capitals are lost, words are not


def test_own_data_need_a_checkpoint_that_has_learned_something(tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_text(
        "".join(f"a B-X\nb{number} O\n\n" for number in range(9)), encoding="utf-8"
    )
    with pytest.raises(UsageError, match="--pretrained"):
        _work(recipe="entities-pretrained", data=tmp_path)


def test_plots_show_mistakes_and_what_is_right(
    work: TokenClassificationWork, tmp_path: Path
) -> None:
    work.plots(tmp_path, oracle(work))
    assert {path.name for path in tmp_path.iterdir()} == {
        "confusion.png",
        "reliability.png",
        "samples.png",
    }
