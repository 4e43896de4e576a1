import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.errors import UsageError
from service.ask.question import read_options, read_question
from service.tasks.image_classification import ImageClassification
from service.tasks.tensor import TensorTask
from service.tasks.text_classification import TextClassification
from service.tasks.text_generation import TextGeneration


def test_a_file_is_read_and_anything_else_is_text(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("från fil\n")
    assert read_question(str(file), TextClassification, {}).data == "från fil".encode()
    assert read_question("hej", TextClassification, {}).data == b"hej"
    assert read_question(str(tmp_path), TextClassification, {}).data == str(tmp_path).encode()


def test_a_prompt_keeps_its_last_newline(tmp_path: Path) -> None:
    file = tmp_path / "prompt.py"
    file.write_text("def f():\n")
    assert read_question(str(file), TextGeneration, {}).data == b"def f():\n"


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\x89PNG")))
    assert read_question("-", ImageClassification, {}).data == b"\x89PNG"


@pytest.mark.parametrize("typed", ["nothere.png", "x" * 10_000, "a\0b"])
def test_a_picture_must_be_a_file(typed: str) -> None:
    with pytest.raises(UsageError, match="does not exist: name a picture"):
        read_question(typed, ImageClassification, {})


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        read_question(str(tmp_path), ImageClassification, {})


def test_numbers_are_json_from_a_file_or_as_typed(tmp_path: Path) -> None:
    file = tmp_path / "numbers.json"
    file.write_text('{"x": [1, 2]}')
    assert read_question(str(file), TensorTask, {}).value == {"x": [1, 2]}
    assert read_question("[1, 2]", TensorTask, {}).value == [1, 2]
    with pytest.raises(UsageError, match="take JSON numbers"):
        read_question("one, two", TensorTask, {})


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        read_question("a\udcff", TextClassification, {})


def test_flags_and_pairs_become_options() -> None:
    assert read_options({"top_k": "3", "seed": None}, ["min-size=4", "a=b=c"]) == {
        "top_k": "3",
        "min_size": "4",
        "a": "b=c",
    }
    with pytest.raises(UsageError, match="write name=value"):
        read_options({}, ["top_k"])
