"""The text classifier is judged on held-out texts, beside cheap methods, whatever answers."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from models.blocks import TextPreprocessing
from models.errors import UsageError
from models.transforms.text import TextEncoder
from training import recipes
from training.predict import torch_predict
from training.settings import with_settings
from training.tasks.text_classification import TextClassificationWork
from training.work import Array, Arrays, Predict

QUICK = (
    "phrases.train=60",
    "phrases.validation=5",
    "phrases.test=10",
    "cnn.width=8",
    "cnn.filters=4",
    "vocabulary=300",
)


def _work(*settings: str, data: Path | None = None) -> TextClassificationWork:
    recipe = recipes.get("language-id")
    config = with_settings(recipe.build_config(own_data=data is not None), settings)
    work = recipe.work_class()(config, data)
    assert isinstance(work, TextClassificationWork)
    work.prepare()
    return work


@pytest.fixture(scope="module")
def work() -> TextClassificationWork:
    return _work(*QUICK)


def oracle(work: TextClassificationWork) -> Predict:
    """Looks its answers up by the tokens themselves."""
    answers = {}
    for split in (work.texts.test, work.texts.validation):
        rows = work.encoder.encode_batch(split.texts)
        for row, label in zip(rows, split.labels, strict=True):
            answers[row["input_ids"].tobytes()] = int(label)

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        pairs = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        keys = [ids[mask == 1].tobytes() for ids, mask in pairs]
        scores = np.eye(len(work.texts.classes), dtype=np.float32)
        return {"logits": scores[[answers[key] for key in keys]] * 5}

    return predict


def test_a_perfect_answer_is_measured_as_one_beside_the_cheap_methods(
    work: TextClassificationWork,
) -> None:
    first, *others = work.evaluate(oracle(work))
    assert (first.metric, first.value, first.samples) == ("accuracy", 1.0, 380)
    assert first.interval is not None
    assert first.interval.method == "wilson"
    assert first.baselines["majority"] == pytest.approx(1 / 38)
    assert 0.4 < first.baselines["tf-idf"] < 1.0
    assert {row.metric for row in others} >= {"macro-f1", "calibration-error"}


def test_the_baseline_can_be_left_out() -> None:
    work = _work(*QUICK, "baseline=false")
    assert work.evaluate(oracle(work))[0].baselines.keys() == {"majority"}


def test_the_temperature_is_fitted_on_validation_and_written_down(
    work: TextClassificationWork,
) -> None:
    work.calibrate(oracle(work))
    assert work.draft(work.lightning_module()).temperature == work.temperature < 1.0


@pytest.mark.parametrize("length", [None, 1, 7, 40])
def test_samples_are_held_out_texts_of_the_length_asked_for(
    work: TextClassificationWork, length: int | None
) -> None:
    inputs = work.sample_inputs(5, length)
    again = work.sample_inputs(5, length)
    assert all(np.array_equal(inputs[name], again[name]) for name in inputs)
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape
    assert inputs["input_ids"].dtype == np.int64
    if length is not None:
        assert inputs["input_ids"].shape == (5, length)
        assert inputs["attention_mask"][0].all()
    if length == 40:
        assert not inputs["attention_mask"].all(), "padding must be part of what is verified"


def test_the_assets_make_the_service_read_a_text_as_training_did(
    work: TextClassificationWork, tmp_path: Path
) -> None:
    work.write_assets(tmp_path)
    draft = work.draft(work.lightning_module())
    assert isinstance(draft.preprocessing, TextPreprocessing)
    tokenizer = (tmp_path / draft.preprocessing.tokenizer).read_text(encoding="utf-8")
    served = TextEncoder(tokenizer, draft.preprocessing)
    text = work.texts.test.texts[7]
    assert np.array_equal(served.encode(text)["input_ids"], work.encoder.encode(text)["input_ids"])
    labels = (tmp_path / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert labels == list(work.texts.classes)


def test_the_answer_to_a_text_does_not_depend_on_its_neighbours(
    work: TextClassificationWork,
) -> None:
    torch.manual_seed(0)
    predict = torch_predict(work.export_plan(work.lightning_module()), torch.device("cpu"))
    batch = work.sample_inputs(6, None)
    together = predict(batch)["logits"]
    for row in range(6):
        count = int(batch["attention_mask"][row].sum())
        alone = predict({name: value[row : row + 1, :count] for name, value in batch.items()})
        np.testing.assert_allclose(alone["logits"][0], together[row], atol=1e-6, rtol=0)


def test_a_table_of_ones_own_is_learned_from_with_the_same_recipe(tmp_path: Path) -> None:
    rows = [
        {"text": f"{'good' if n % 2 else 'poor'} film number {n}", "label": n % 2}
        for n in range(60)
    ]
    path = tmp_path / "films.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    work = _work("cnn.width=8", data=path)
    assert work.texts.classes == ("0", "1")
    assert work.config.gates.accuracy_floor is None
    assert work.config.gates.beats == ("majority",)
    summary = work.data_summary()
    assert "films, 2 classes" in summary["data set"]
    assert "test cut from the training rows" in summary["notes"]
    assert len(work.data_sha256()) == 64


SMALL = {
    "cnn": ("cnn.width=8", "cnn.filters=4"),
    "bag": ("bag.width=8",),
    "rnn": ("recurrent.width=8", "recurrent.units=6"),
    "lstm": ("recurrent.width=8", "recurrent.units=6", "recurrent.layers=2"),
    "gru": ("recurrent.width=8", "recurrent.units=6"),
    "transformer": ("transformer.width=8", "transformer.heads=2"),
    "pretrained": (),
}
OPINIONS = (
    "sentences=opinions",
    "opinions.train=60",
    "opinions.validation=10",
    "opinions.test=12",
    "vocabulary=300",
    "merge_dropout=0",
)


@pytest.mark.parametrize("network", SMALL)
def test_every_network_reads_the_same_texts(network: str) -> None:
    work = _work(f"network={network}", *OPINIONS, *SMALL[network])
    module = work.lightning_module().eval()
    predict = torch_predict(work.export_plan(module), torch.device("cpu"))
    logits = predict(work.sample_inputs(4, None))["logits"]
    assert logits.shape == (4, 2)
    assert np.isfinite(logits).all()
    groups = module.network.layer_groups()  # type: ignore[operator]
    assert sum(len(group) for group in groups) == len(list(module.network.parameters()))


def test_a_second_training_starts_from_the_checkpoint_and_not_from_the_first() -> None:
    work = _work("network=pretrained", *OPINIONS)
    first = work.lightning_module()
    with torch.no_grad():
        for weight in first.parameters():
            weight.zero_()
    fresh = work.lightning_module().network
    assert bool(next(fresh.parameters()).any())


def test_a_checkpoint_brings_its_tokenizer_its_padding_and_its_limit() -> None:
    work = _work("network=pretrained", *OPINIONS, "max_tokens=4096")
    assert work.checkpoint is not None
    assert work.encoder.block.max_tokens == work.checkpoint.max_tokens == 128
    ids = work.encoder.encode("the film was great")["input_ids"]
    special = work.checkpoint.special
    assert (ids[0], ids[-1]) == (special.start, special.separator)
    assert work.export_plan(work.lightning_module()).axis_limits == {"sequence": (1, 128)}
    assert "random weights" in work.data_summary()["checkpoint"]


def test_data_of_ones_own_need_a_checkpoint_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "films.tsv"
    path.write_text("".join(f"film number {n}\t{n % 2}\n" for n in range(40)))
    with pytest.raises(UsageError, match="--pretrained PATH_OR_ID"):
        _work("network=pretrained", data=path)


def test_a_checkpoint_and_another_network_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="network=pretrained"):
        _work("network=lstm", "pretrained.source=somewhere")


def test_token_dropout_is_for_training_texts_only() -> None:
    work = _work("network=pretrained", *OPINIONS, "token_dropout=0.5")
    torch.manual_seed(0)
    trained = sum(int(mask.sum()) for _, mask, _ in work.train_loader())
    whole = sum(len(row["input_ids"]) for row in work.encoder.encode_batch(work.texts.train.texts))
    assert 0.3 * whole < trained < 0.8 * whole
    validated = sum(int(mask.sum()) for _, mask, _ in work.val_loader())
    texts = work.encoder.encode_batch(work.texts.validation.texts)
    assert validated == sum(len(row["input_ids"]) for row in texts)
    special = work.checkpoint.special if work.checkpoint else None
    assert special is not None
    for ids, mask, _ in work.train_loader():
        assert bool((ids[:, 0] == special.start).all())
        ends = ids[torch.arange(len(ids)), mask.sum(dim=1) - 1]
        assert bool((ends == special.separator).all())
