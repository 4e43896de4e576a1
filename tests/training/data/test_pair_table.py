"""Pairs as people keep them, and complaints that name file and line."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.data.pair_table import PairChoice, load_pair_table
from training.errors import DataError


def write(folder: Path, text: str, name: str = "pairs.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows(*parts: tuple[object, ...], separator: str = "\t") -> str:
    return "".join(separator.join(map(str, part)) + "\n" for part in parts)


PAIRS = [(f"question {n}", f"answer {n}") for n in range(20)]
SCORED = [(*pair, n % 6) for n, pair in enumerate(PAIRS)]
TRIPLETS = [(*pair, f"wrong {n}") for n, pair in enumerate(PAIRS)]


@pytest.mark.parametrize(
    ("given", "kind"), [(PAIRS, "positive"), (SCORED, "scored"), (TRIPLETS, "triplet")]
)
def test_the_columns_say_what_kind_it_is(
    tmp_path: Path, given: list[tuple[object, ...]], kind: str
) -> None:
    data = load_pair_table(write(tmp_path, rows(*given)))
    assert data.kind == kind
    parts = (data.train, data.validation, data.test)
    assert sum(map(len, parts)) == 20
    for part in parts:
        assert len(part.scores) == (len(part) if kind == "scored" else 0)
        assert len(part.negatives) == (len(part) if kind == "triplet" else 0)
        for first, second in zip(part.first, part.second, strict=True):
            assert first.split()[1] == second.split()[1]


@pytest.mark.parametrize(
    "header",
    [
        ("sentence1", "sentence2", "score"),
        ("Text", "Text_pair", "Similarity"),
        ("anchor", "positive", "label"),
    ],
)
def test_a_header_is_known_by_its_words(tmp_path: Path, header: tuple[str, ...]) -> None:
    data = load_pair_table(write(tmp_path, rows(header, *SCORED)))
    assert sum(map(len, (data.train, data.validation, data.test))) == 20


def test_a_header_may_name_columns_in_another_order(tmp_path: Path) -> None:
    turned = [(score, second, first) for first, second, score in SCORED]
    data = load_pair_table(write(tmp_path, rows(("score", "sentence2", "sentence1"), *turned)))
    assert data.kind == "scored"
    assert all(text.startswith("question") for text in data.train.first)


def test_columns_may_be_chosen_among_many(tmp_path: Path) -> None:
    wide = [(n, "x", *row, "y") for n, row in enumerate(SCORED)]
    path = write(tmp_path, rows(*wide))
    with pytest.raises(DataError, match="--set columns="):
        load_pair_table(path)
    data = load_pair_table(path, PairChoice(columns=("3", "4", "5")))
    assert data.kind == "scored"
    assert all(text.startswith("answer") for text in data.train.second)
    assert load_pair_table(path, PairChoice(columns=("3", "4", "none"))).kind == "positive"


def test_csv_and_json_lines_are_read_alike(tmp_path: Path) -> None:
    csv = write(tmp_path, rows(*TRIPLETS, separator=","), "data.csv")
    names = ("anchor", "positive", "negative")
    lines = "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in TRIPLETS)
    found = load_pair_table(write(tmp_path, lines, "data.jsonl"))
    assert found.sha256() == load_pair_table(csv).sha256()


def test_scores_in_json_may_be_numbers(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps({"sentence1": a, "sentence2": b, "score": score / 2}) + "\n"
        for a, b, score in SCORED
    )
    data = load_pair_table(write(tmp_path, lines, "data.jsonl"))
    assert set(data.train.scores.tolist()) <= {0, 0.5, 1, 1.5, 2, 2.5}


def test_a_folders_own_splits_are_kept(tmp_path: Path) -> None:
    for name, part in (("train", PAIRS[:10]), ("dev", PAIRS[10:14]), ("test", PAIRS[14:])):
        write(tmp_path, rows(*part), f"{name}.tsv")
    data = load_pair_table(tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [10, 4, 6]
    assert data.notes == ()


def test_no_first_text_stands_in_two_splits(tmp_path: Path) -> None:
    many = [(f"question {n}", f"answer {n} {k}") for n in range(10) for k in range(4)]
    data = load_pair_table(write(tmp_path, rows(*many)))
    splits = [set(part.first) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, splits)) == len(set.union(*splits)) == 10


def test_the_split_follows_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path, rows(*SCORED))
    first, same, other = (load_pair_table(path, PairChoice(seed=seed)) for seed in (1, 1, 2))
    assert first.sha256() == same.sha256() != other.sha256()


def test_repeated_rows_are_used_once_and_told(tmp_path: Path) -> None:
    data = load_pair_table(write(tmp_path, rows(*PAIRS, *PAIRS[:3])))
    assert sum(map(len, (data.train, data.validation, data.test))) == 20
    assert "3 repeated rows used once" in data.notes


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (rows(*SCORED[:3], ("a", "b", "much")), r"line 4: the score 'much' is not a number"),
        (rows(*SCORED[:3], ("a", "b", "nan")), r"line 4: the score 'nan' is not a number"),
        (rows(*PAIRS[:3], ("a", "b", "c")), r"line 4: 3 columns where 2 are expected"),
        (rows(*PAIRS[:3], ("a", " ")), r"line 4: the second text is empty"),
        (rows(*PAIRS[:3]) + "\tb\n", r"line 4: the first text is empty"),
        (rows(*TRIPLETS[:3], ("a", "b", "")), r"line 4: the third column is empty"),
        (rows(("alone",)), r"line 1: cannot tell the two texts' columns"),
        (rows(("sentence1", "sentence2")), "nothing but column names"),
        ("", "no rows"),
        (rows(*[(*pair, 3) for pair in PAIRS]), "the same score"),
        (rows(*PAIRS[:2]), "too few rows"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=complaint) as caught:
        load_pair_table(path)
    assert str(path) in caught.value.message


def test_a_test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    write(tmp_path, rows(*PAIRS), "train.tsv")
    test = write(tmp_path, rows(*SCORED), "test.tsv")
    with pytest.raises(DataError, match=f"{test}.*scored rows where the training file"):
        load_pair_table(tmp_path)


def test_an_unknown_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, rows(("one", "two"), *PAIRS))
    with pytest.raises(DataError, match="there is no column 'three'; the file has 2 columns: one"):
        load_pair_table(path, PairChoice(columns=("one", "three", "none")))


def test_scores_keep_their_own_range(tmp_path: Path) -> None:
    data = load_pair_table(write(tmp_path, rows(*SCORED)))
    assert data.score_range == (data.train.scores.min(), data.train.scores.max())
    assert data.train.take(np.array([1])).scores.shape == (1,)
