import base64
from pathlib import Path

import pytest

from models.errors import UsageError
from service.ask.render import render
from service.ask.reply import Reply


def _reply(task: str, *predictions: dict[str, object]) -> Reply:
    body = {"model_name": "m", "model_version": "3", "predictions": list(predictions)}
    return Reply(task, body, 12.345)


def test_labels_are_aligned_with_bars() -> None:
    rows = [{"label": "schwedisch", "score": 0.75}, {"label": "de", "score": 0.0}]
    shown = render(_reply("text-classification", {"labels": rows}), "hej", None)
    assert shown.splitlines() == [
        "m/3  12.3 ms",
        "  schwedisch   75.0%  ██████████████████",
        "  de            0.0%",
    ]


def test_text_follows_its_prompt_and_cannot_steer_the_terminal() -> None:
    answer = {"text": "\x1b[2J\n\tx", "finish_reason": "length", "prompt_tokens": 3}
    shown = render(_reply("text-generation", {**answer, "completion_tokens": 4}), "def", None)
    assert "4 tokens after 3, ended by length" in shown
    assert shown.endswith("def\N{REPLACEMENT CHARACTER}[2J\n\tx")


def test_what_was_made_of_a_text_stands_without_it_and_the_best_first() -> None:
    found = {"text": "one dog", "finish_reason": "stop", "completion_tokens": 2, "score": -0.1}
    others = [{**found, "text": "a\x1b dog"}]
    answer = {**found, "source_tokens": 3, "alternatives": others}
    shown = render(_reply("text-to-text", answer), "ein Hund", None)
    assert shown.splitlines()[1:] == [
        "  2 tokens of 3, ended by stop",
        "one dog",
        "a\N{REPLACEMENT CHARACTER} dog",
    ]


PICTURE = {
    "image": base64.b64encode(b"PNG").decode(), "width": 8, "height": 8, "seed": 5, "index": 0
}  # fmt: skip


def test_a_picture_is_written_and_its_file_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = render(_reply("image-generation", PICTURE), "../a b", None)
    assert "wrote m-.._a_b-5.png (8×8 pixels, seed 5)" in shown
    assert (tmp_path / "m-.._a_b-5.png").read_bytes() == b"PNG"
    render(_reply("image-generation", PICTURE), "3", tmp_path / "three.png")
    assert (tmp_path / "three.png").read_bytes() == b"PNG"


def test_a_picture_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        render(_reply("image-generation", PICTURE), "3", tmp_path / "nowhere" / "three.png")


def test_other_answers_are_shown_as_json() -> None:
    assert '"y": [' in render(_reply("tensor", {"y": [1, 2]}), "[1]", None)
