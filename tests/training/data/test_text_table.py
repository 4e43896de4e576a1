"""Labelled text is read as people keep it, and every mistake is named with file, line and remedy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training.data.labelled_text import TextData
from training.data.text_table import TableChoice, load_text_table
from training.errors import DataError

SST2 = Path(__file__).parents[4] / "shared/data/sst2"

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def _rows(separator: str, count: int = 20, *, label_first: bool = False) -> str:
    pairs = [(f"text {number}", "good" if number % 2 else "bad") for number in range(count)]
    return "".join(separator.join(pair[::-1] if label_first else pair) + "\n" for pair in pairs)


def _pairs(data: TextData) -> set[tuple[str, str]]:
    splits = (data.train, data.validation, data.test)
    return {
        (text, data.classes[label])
        for split in splits
        for text, label in zip(split.texts, split.labels, strict=True)
    }


EXPECTED = {(f"text {number}", "good" if number % 2 else "bad") for number in range(20)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.tsv", _rows("\t")),
        ("label_first.tsv", _rows("\t", label_first=True)),
        ("windows.tsv", _rows("\t").replace("\n", "\r\n")),
        ("mark.tsv", "\ufeff" + _rows("\t")),
        ("named.tsv", "Sentence\tLabel\n" + _rows("\t")),
        ("half_named.csv", "review,polarity\n" + _rows(",")),
        ("plain.csv", _rows(",")),
        ("semicolon.csv", "label;text\n" + _rows(";", label_first=True)),
        ("blank_lines.csv", "text,label\n\n" + _rows(",").replace("\n", "\n\n")),
        (
            "objects.jsonl",
            "".join(
                f'{{"id": {n}, "label": "{"good" if n % 2 else "bad"}", "text": "text {n}"}}\n'
                for n in range(20)
            ),
        ),
    ],
)
def test_the_same_rows_come_out_of_every_format(write: Write, name: str, content: str) -> None:
    data = load_text_table(write(name, content))
    assert _pairs(data) == EXPECTED
    assert data.classes == ("bad", "good")


def test_columns_are_chosen_by_name_or_by_position(write: Write) -> None:
    rows = "".join(f"{n},{'yes' if n % 2 else 'no'},words {n}\n" for n in range(20))
    named = write("named.csv", "id,answer,question\n" + rows)
    bare = write("bare.csv", rows)
    by_name = TableChoice(text_column="Question", label_column="answer")
    by_position = TableChoice(text_column="3", label_column="2")
    assert _pairs(load_text_table(named, by_name)) == _pairs(load_text_table(bare, by_position))
    with pytest.raises(DataError, match=r"no text column 'body'; the columns are id, answer, ques"):
        load_text_table(named, TableChoice(text_column="body"))
    with pytest.raises(DataError, match="no label column 4; the file has 3 columns"):
        load_text_table(bare, TableChoice(text_column="3", label_column="4"))
    with pytest.raises(DataError, match="cannot tell the text and the label column"):
        load_text_table(bare)


def test_quoted_cells_may_hold_separators_quotes_and_line_breaks(write: Write) -> None:
    rows = [f'"one, ""{n}""\ntwo",{n % 2}\n' for n in range(12)]
    data = load_text_table(write("quoted.csv", "text,label\n" + "".join(rows)))
    assert ('one, "3"\ntwo', "1") in _pairs(data)
    bad = write("bad.csv", "text,label\n" + "".join(rows) + "a,b,c\n")
    with pytest.raises(DataError, match=r"bad.csv, line 26: 3 columns where 2 are expected"):
        load_text_table(bad)


def test_quotes_in_tsv_and_rare_line_separators_are_text(write: Write) -> None:
    text = 'say "hi\u2028 there\x85'
    data = load_text_table(write("corpus.tsv", _rows("\t") + f"{text}\tgood\n"))
    assert (text.strip(), "good") in _pairs(data)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("short.tsv", _rows("\t") + "no label here\n", r"line 21: 1 column where 2 are expected"),
        ("empty.tsv", _rows("\t") + "  \tgood\n", "line 21: the text is empty"),
        ("unlabelled.tsv", _rows("\t") + "text\t \n", "line 21: the label is empty"),
        ("one.tsv", "a\tx\nb\tx\n", "every row has the label 'x'; at least two classes"),
        ("single.csv", "text\nhello\n", "line 1: only one column"),
        ("nothing.tsv", "\n \n", "nothing.tsv: the file has no rows"),
        ("nothing.jsonl", "", "nothing.jsonl: the file has no rows"),
        ("heading.csv", "text,label\n", "nothing but column names"),
        (
            "latin.tsv",
            _rows("\t").encode() + "caf\xe9\tgood\n".encode("latin-1"),
            "line 21: not UTF",
        ),
        ("broken.jsonl", '{"text": "a", "label": 1}\n{"text": \n', "line 2: not JSON"),
        ("list.jsonl", "[1, 2]\n", "line 1: not an object"),
        ("keys.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2: the label is empty"),
        ("deep.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("quotes.csv", 'text,label\n"open,1\n', r"line 2: not valid CSV"),
        ("swapped.csv", "label,text\n" + _rows(",", 120), "120 different labels in 120 rows"),
        ("page.html", "<p>", "page.html: labelled text is read from .tsv, .csv, .jsonl"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_remedy(
    write: Write, name: str, content: str | bytes, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        load_text_table(write(name, content))
    assert name in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


def test_a_folders_own_splits_are_respected(write: Write) -> None:
    write("d/train.tsv", _rows("\t"))
    write("d/dev.tsv", "dev text\tgood\n")
    folder = write("d/test.csv", "text,label\ntest text,bad\n").parent
    data = load_text_table(folder)
    assert (len(data.train), data.validation.texts, data.test.texts) == (
        20,
        ("dev text",),
        ("test text",),
    )
    assert data.name == "d"


def test_the_training_file_decides_about_the_columns_of_the_others(write: Write) -> None:
    write("d/train.tsv", _rows("\t", label_first=True))
    write("d/test.tsv", "good\tfirst\nbad\tsecond\n")  # by itself, nobody could tell
    data = load_text_table(write("d/val.tsv", "good\tthird\n").parent)
    assert data.test.texts == ("first", "second")


def test_the_only_given_held_out_file_is_the_one_that_judges(write: Write) -> None:
    write("d/train.tsv", _rows("\t"))
    data = load_text_table(write("d/dev.tsv", "dev text\tgood\n").parent)
    assert data.test.texts == ("dev text",)
    assert len(data.train) + len(data.validation) == 20


def test_a_folders_mistakes_are_named(write: Write, tmp_path: Path) -> None:
    folder = write("d/test.tsv", "x\tgood\n").parent
    write("d/dev.tsv", "x\tgood\n")
    with pytest.raises(DataError, match=r"no training file; expected train\.tsv"):
        load_text_table(folder)
    write("d/train.tsv", _rows("\t"))
    write("d/test.tsv", "fine\tgood\nodd\tugly\n")
    with pytest.raises(DataError, match=r"test.tsv, line 2: label 'ugly' does not occur"):
        load_text_table(folder)
    write("d/train.csv", _rows(","))
    with pytest.raises(DataError, match=r"both train.csv and train.tsv; keep one"):
        load_text_table(folder)
    with pytest.raises(DataError, match="no such file or folder"):
        load_text_table(tmp_path / "absent")


def test_cut_splits_keep_the_classes_share_no_text_and_follow_the_seed(write: Write) -> None:
    path = write("all.tsv", _rows("\t", 200) + _rows("\t", 200))
    data = load_text_table(path)
    assert len(data.train) + len(data.validation) + len(data.test) == 200
    assert "200 repeated texts used once" in data.notes
    assert set(data.train.texts).isdisjoint((*data.test.texts, *data.validation.texts))
    assert np.bincount(data.test.labels).tolist() == [15, 15]
    assert load_text_table(path).sha256() == data.sha256()
    assert load_text_table(path, TableChoice(seed=1)).sha256() != data.sha256()


def test_number_labels_are_ordered_as_numbers(write: Write) -> None:
    rows = "".join(f"text {n}\t{n % 12}\n" for n in range(60))
    assert load_text_table(write("n.tsv", rows)).classes == tuple(str(n) for n in range(12))


@pytest.mark.skipif(not SST2.is_dir(), reason="needs ../shared/data/sst2")
def test_film_review_sentences_are_read() -> None:
    data = load_text_table(SST2)
    assert [len(data.train), len(data.validation), len(data.test)] == [6920, 872, 1821]
    assert data.classes == ("0", "1")
