import json
import re
from pathlib import Path

import numpy as np
import pytest

from models.errors import UsageError
from service.bench.target import Target
from service.tuning.questions import Questions, golden_rows, item_lengths, questions_of
from tests.service import graphs
from tests.service.bundles import digits_bundle, language_bundle

TARGET = Target("127.0.0.1", 80)


def bodies(questions: Questions) -> list[dict[str, object]]:
    return [json.loads(one.body) for one in questions.asked]


def test_text_models_are_asked_texts_of_mixed_length(tmp_path: Path) -> None:
    questions = questions_of(language_bundle(tmp_path / "repository"), [])
    words = [len(str(body["text"]).split()) for body in bodies(questions)]
    assert (min(words), max(words), len(words)) == (4, 120, 64)
    assert words != sorted(words)
    assert {one.path for one in questions.asked} == {"/v1/models/language-id/predict"}
    assert len(questions.lengths) == 64
    assert max(questions.lengths) == 32  # cut to what the model takes


def test_texts_are_the_same_every_time(tmp_path: Path) -> None:
    bundle = language_bundle(tmp_path / "repository")
    assert questions_of(bundle, []) == questions_of(bundle, [])


def test_picture_models_are_asked_their_example(tmp_path: Path) -> None:
    questions = questions_of(digits_bundle(tmp_path / "repository"), [])
    [body] = bodies(questions)
    assert list(body) == ["image"]
    assert questions.lengths == ()
    assert questions.about == "the model's own example"


def test_tensor_models_are_asked_the_rows_of_their_exam(tmp_path: Path) -> None:
    bundle = graphs.mlp(16, 8).publish(tmp_path / "repository", "mlp", tmp_path)
    questions = questions_of(bundle, [])
    rows = golden_rows(bundle)
    assert len(questions.asked) == len(rows) > 1
    for one, row in zip(questions.asked, rows, strict=True):
        size = int(one.headers["inference-header-content-length"])
        [tensor] = json.loads(one.body[:size])["inputs"]
        assert tensor["shape"] == [1, 16]
        sent = np.frombuffer(one.body[size:], np.float32)
        assert np.array_equal(sent, row[tensor["name"]])


def test_given_inputs_are_sent_instead(tmp_path: Path) -> None:
    bundle = language_bundle(tmp_path / "repository")
    questions = questions_of(bundle, ["hej", "hello there"])
    assert [one.body for one in questions.asked] == [b"hej", b"hello there"]
    assert questions.lengths == (3, 11)
    assert questions.about == "2 given inputs"


@pytest.mark.parametrize("given", ["", "a" * 200])
def test_an_input_that_the_model_does_not_take_is_told_before_anything_starts(
    tmp_path: Path, given: str
) -> None:
    with pytest.raises(UsageError, match="language-id does not take this"):
        questions_of(language_bundle(tmp_path / "repository"), [given])


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.png does not exist"):
        questions_of(digits_bundle(tmp_path / "repository"), ["gone.png"])


def test_messages_are_whole_requests_again_and_again(tmp_path: Path) -> None:
    bundle = graphs.mlp(16, 8).publish(tmp_path / "repository", "mlp", tmp_path)
    questions = questions_of(bundle, [])
    messages = questions.messages(TARGET)
    taken = [next(messages) for _ in range(2 * len(questions.asked))]
    assert taken[: len(taken) // 2] == taken[len(taken) // 2 :]
    head, _, body = taken[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/mlp/infer HTTP/1.1\r\n")
    found = re.search(rb"\r\ncontent-length: (\d+)", head)
    assert found is not None
    assert int(found.group(1)) == len(body)


def test_lengths_are_those_of_the_axis_that_may_be_padded(tmp_path: Path) -> None:
    manifest = language_bundle(tmp_path / "repository").manifest
    items = [{"input_ids": np.zeros(n, np.int64)} for n in (3, 7)]
    assert item_lengths(manifest, items) == (3, 7)
    assert item_lengths(digits_bundle(tmp_path / "repository").manifest, items) == ()
