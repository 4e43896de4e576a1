"""Text of one's own: the end of every file is held out, and bad files are named."""

import json
from pathlib import Path

import pytest

from training.data.textfiles import read_text_files
from training.errors import DataError

LINES = "".join(f"line number {number}\n" for number in range(1000))


def test_last_tenth_of_a_file_is_held_out_at_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "play.txt"
    path.write_text(LINES)
    corpus = read_text_files(path)
    [train], [held_out] = corpus.train, corpus.held_out
    assert train.text + held_out.text == LINES
    assert train.text.endswith("\n")
    assert 0.09 < len(held_out.text) / len(LINES) < 0.11


def test_folder_is_read_file_by_file_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.txt", "a.txt", "b/d.md"):
        (tmp_path / name).write_text(LINES)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    corpus = read_text_files(tmp_path)
    assert [document.name for document in corpus.train] == ["a.txt", "b/d.md", "c.txt"]


def test_of_jsonl_every_line_is_a_text_and_the_last_ones_are_held_out(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    texts = [f"text {number}\u2028of two lines\n" * 20 for number in range(40)]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    corpus = read_text_files(path, held_out=0.25)
    assert [document.text for document in corpus.train] == texts[:30]
    assert [document.text for document in corpus.held_out] == texts[30:]
    assert corpus.split == "last 25% of each file"


@pytest.mark.parametrize("line", ['{"text": 3}', '["text"]', '{"text": "…', '{"content": "x"}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(f"{json.dumps({'text': LINES})}\n\n{line}\n")
    with pytest.raises(DataError, match=r"texts\.jsonl, line 3: "):
        read_text_files(path)


def test_how_much_is_held_out_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "play.txt"
    path.write_text(LINES)
    [held_out] = read_text_files(path, held_out=0.3).held_out
    assert 0.29 < len(held_out.text) / len(LINES) < 0.31


def test_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "marked.txt"
    path.write_text(LINES, encoding="utf-8-sig")
    assert read_text_files(path).train[0].text.startswith("line")


def test_file_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes(LINES.encode() + "café\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"old\.txt, line 1001: not UTF-8"):
        read_text_files(path)


@pytest.mark.parametrize("text", ["", "short\n", "x" * 10_000])
def test_too_little_text_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "little.txt"
    path.write_text(text)
    with pytest.raises(DataError, match="too few"):
        read_text_files(path)


def test_absent_path_and_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_text_files(tmp_path / "absent.txt")
    with pytest.raises(DataError, match="holds no"):
        read_text_files(tmp_path)
