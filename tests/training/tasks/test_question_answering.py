"""Answers are judged on held-out questions as they will be served, whatever answers."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from models.blocks import SpanPostprocessing, TextPreprocessing
from models.transforms.text import TextEncoder
from training import recipes
from training.data.questions import Question
from training.errors import DataError
from training.predict import torch_predict
from training.settings import with_settings
from training.tasks.answer_judge import best_threshold, overlapping_words
from training.tasks.question_answering import QuestionAnsweringWork
from training.work import Array, Arrays, Predict

INPUTS = {"input_ids", "attention_mask", "token_type_ids"}


def _work(
    *settings: str, recipe: str = "answers", data: Path | None = None
) -> QuestionAnsweringWork:
    found = recipes.get(recipe)
    tiny = [
        line for line in found.tiny if line.split("=")[0] not in {s.split("=")[0] for s in settings}
    ]
    config = with_settings(found.build_config(), (*tiny, *settings))
    work = found.work_class()(config, data)
    assert isinstance(work, QuestionAnsweringWork)
    work.prepare()
    return work


@pytest.fixture(scope="module")
def work() -> QuestionAnsweringWork:
    return _work()


def oracle(work: QuestionAnsweringWork) -> Predict:
    """Looks the targets up by the tokens themselves."""
    known = {
        window.row["input_ids"].tobytes(): (int(window.row["start"]), int(window.row["end"]))
        for split in work._windows.values()
        for window in split
    }

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        logits = {
            name: np.zeros(inputs["input_ids"].shape, np.float32)
            for name in ("start_logits", "end_logits")
        }
        for row, (ids, mask) in enumerate(
            zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ):
            start, end = known[ids[mask == 1].tobytes()]
            logits["start_logits"][row, start] = logits["end_logits"][row, end] = 9.0
        return logits

    return predict


def test_a_perfect_answer_is_measured_as_one_beside_shared_words(
    work: QuestionAnsweringWork,
) -> None:
    work.calibrate(oracle(work))
    exact, f1, *others = work.evaluate(oracle(work))
    assert (exact.metric, exact.value, exact.samples) == ("exact-match", 1.0, 20)
    assert (f1.metric, f1.value) == ("f1", 1.0)
    assert exact.interval is not None
    assert exact.baselines["word-overlap"] < 0.6
    assert {row.metric for row in others} == {
        "f1 of questions with an answer",
        "f1 of questions without one",
    }


def test_windows_of_long_passages_are_judged_together() -> None:
    work = _work("max_tokens=80", "stride_tokens=30")
    assert len(work._windows["test"]) > len(work.texts.test)
    assert all(len(window.encoded.sequence) <= 80 for window in work._windows["test"])
    work.calibrate(oracle(work))
    assert work.evaluate(oracle(work))[0].value == 1.0


def test_the_threshold_of_nothing_is_written_down(work: QuestionAnsweringWork) -> None:
    work.calibrate(oracle(work))
    after = work.draft(work.lightning_module()).postprocessing
    assert isinstance(after, SpanPostprocessing)
    assert after.may_have_no_answer
    assert -18.0 < after.no_answer_threshold == work.no_answer_threshold < 18.0


def test_where_every_question_has_an_answer_nothing_is_never_said() -> None:
    work = _work("facts.no_answer_fraction=0")
    work.calibrate(oracle(work))
    after = work.draft(work.lightning_module()).postprocessing
    assert isinstance(after, SpanPostprocessing)
    assert not after.may_have_no_answer
    assert [row.metric for row in work.evaluate(oracle(work))] == ["exact-match", "f1"]


def test_the_best_threshold_is_what_trying_all_would_find() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        leads = generator.integers(-4, 5, size=12).astype(float)
        answered, nothing = generator.random(12), generator.integers(0, 2, size=12).astype(float)
        chosen = best_threshold(leads, answered, nothing)
        totals = {
            limit: np.where(leads < limit, answered, nothing).sum()
            for limit in np.arange(-6, 7, 0.25)
        }
        assert np.where(leads < chosen, answered, nothing).sum() == pytest.approx(
            max(totals.values())
        )
    assert best_threshold(np.array([]), np.array([]), np.array([])) == 0.0


def test_the_baseline_takes_new_words_of_the_likest_sentence() -> None:
    context = "Ben lives in Rome. Ada was born in Cold Bay. It rains."
    question = Question("1", "Where was Ada born?", context, ())
    assert overlapping_words(question) == "in Cold Bay"
    assert overlapping_words(Question("2", "it rains", "It rains", ())) == ""


def test_the_assets_make_the_service_read_a_pair_as_training_did(
    work: QuestionAnsweringWork, tmp_path: Path
) -> None:
    work.write_assets(tmp_path)
    block = work.draft(work.lightning_module()).preprocessing
    assert isinstance(block, TextPreprocessing)
    assert block.is_pair
    served = TextEncoder((tmp_path / block.tokenizer).read_text(encoding="utf-8"), block)
    one = work.texts.test[3]
    window = served.encode_pair(one.question, one.context)[0]
    trained = next(row for row in work._windows["test"] if row.question == 3)
    for name in INPUTS:
        assert np.array_equal(window.row[name], trained.row[name])


def test_no_text_becomes_a_mark(work: QuestionAnsweringWork) -> None:
    [window] = work.encoder.encode_pair("what is [CLS]?", "a [SEP] b")
    ids = window.row["input_ids"]
    marks = set(ids[window.sequence == -1].tolist())
    assert not marks & set(ids[window.sequence >= 0].tolist())


@pytest.mark.parametrize("length", [None, 5, 33])
def test_samples_are_held_out_windows_of_the_length_asked_for(
    work: QuestionAnsweringWork, length: int | None
) -> None:
    inputs, again = work.sample_inputs(4, length), work.sample_inputs(4, length)
    assert inputs.keys() == INPUTS
    assert all(np.array_equal(inputs[name], again[name]) for name in inputs)
    if length is not None:
        assert inputs["input_ids"].shape == (4, length)


def test_the_answer_to_a_window_does_not_depend_on_its_neighbours(
    work: QuestionAnsweringWork,
) -> None:
    torch.manual_seed(0)
    predict = torch_predict(work.export_plan(work.lightning_module()), torch.device("cpu"))
    batch = work.sample_inputs(4, None)
    together = predict(batch)
    for row in range(4):
        length = int(batch["attention_mask"][row].sum())
        alone = predict({name: array[row : row + 1, :length] for name, array in batch.items()})
        for name, logits in alone.items():
            assert np.allclose(logits[0], together[name][row, :length], atol=1e-5)


def test_questions_that_leave_no_room_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    def passage(number: int, question: str) -> dict[str, object]:
        answer = {"text": "Rome", "answer_start": 12}
        entry = {"id": str(number), "question": question, "answers": [answer]}
        return {"context": f"{number} lives in Rome.".rjust(21), "qas": [entry]}

    passages = [passage(n, "Where?" if n % 3 else "Where " * 90) for n in range(1, 30)]
    for one in passages:
        one["qas"][0]["answers"][0]["answer_start"] = str(one["context"]).index("Rome")  # type: ignore[index]
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"data": [{"paragraphs": passages}]}), encoding="utf-8")
    work = _work("max_tokens=32", "stride_tokens=8", data=path)
    assert "training questions too long" in work.data_summary()["notes"]
    assert work.evaluate(oracle(work))[0].value < 1.0
    for one in passages:
        one["qas"][0]["question"] = "Where " * 90  # type: ignore[index]
    path.write_text(json.dumps({"data": [{"paragraphs": passages}]}), encoding="utf-8")
    with pytest.raises(DataError, match="leaves room"):
        _work("max_tokens=32", "stride_tokens=8", data=path)


def test_a_checkpoint_reads_with_a_head_alone() -> None:
    work = _work(recipe="answers-pretrained")
    assert work.checkpoint is not None
    work.calibrate(oracle(work))
    assert work.evaluate(oracle(work))[0].value > 0.9
    assert "checkpoint" in work.data_summary()


def test_plots_show_mistakes(work: QuestionAnsweringWork, tmp_path: Path) -> None:
    work.plots(tmp_path, oracle(work))
    assert (tmp_path / "samples.png").is_file()
