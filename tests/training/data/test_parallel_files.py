"""Parallel text is read as people keep it, and every mistake is told with file and line."""

import gzip
from pathlib import Path

import pytest

from training.data.parallel_files import is_parallel, read_parallel
from training.errors import DataError


def write(folder: Path, **files: list[str]) -> Path:
    """`train_de` becomes train.de."""
    for name, lines in files.items():
        (folder / name.replace("_", ".")).write_text("".join(f"{line}\n" for line in lines))
    return folder


def lines(word: str, count: int) -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def whole(folder: Path) -> Path:
    return write(
        folder,
        train_de=lines("Satz", 30),
        train_en=lines("sentence", 30),
        val_de=lines("Wert", 4),
        val_en=lines("value", 4),
        test_de=lines("Probe", 5),
        test_en=lines("sample", 5),
    )


def test_named_languages_say_the_direction(tmp_path: Path) -> None:
    read = read_parallel(whole(tmp_path), "en", "de")
    assert (read.source, read.target, read.test_name) == ("en", "de", "test")
    assert read.data.train.first[7] == "sentence 7"
    assert read.data.train.second[7] == "Satz 7"
    assert [len(part) for part in (read.data.train, read.data.validation, read.data.test)] == [
        30,
        4,
        5,
    ]


def test_two_languages_need_no_name_and_one_decides_the_other(tmp_path: Path) -> None:
    whole(tmp_path)
    assert read_parallel(tmp_path, None, None).source == "de"
    assert read_parallel(tmp_path, None, "de").source == "en"


def test_compressed_and_plain_files_mix(tmp_path: Path) -> None:
    whole(tmp_path)
    plain = tmp_path / "train.de"
    (tmp_path / "train.de.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert is_parallel(tmp_path)
    assert read_parallel(tmp_path, "de", "en").data.train.first[3] == "Satz 3"


def test_blank_lines_leave_with_their_other_side_and_are_counted(tmp_path: Path) -> None:
    whole(tmp_path)
    write(
        tmp_path,
        train_de=["eins", "", "drei", "vier", ""],
        train_en=["one", "two", " ", "four", ""],
    )
    data = read_parallel(tmp_path, "de", "en").data
    assert data.train.first == ("eins", "vier")
    assert data.train.second == ("one", "four")
    assert "3 lines with a blank side left out" in data.notes


def test_rare_separators_inside_a_line_do_not_break_it(tmp_path: Path) -> None:
    whole(tmp_path)
    write(tmp_path, test_de=["a\x0bb\u2028c"], test_en=["x"])
    assert read_parallel(tmp_path, "de", "en").data.test.first == ("a b c",)


def test_missing_parts_are_cut_from_the_training_lines_without_a_shared_source(
    tmp_path: Path,
) -> None:
    write(tmp_path, train_de=lines("Satz", 20) * 2, train_en=lines("sentence", 40))
    data = read_parallel(tmp_path, None, None).data
    parts = [set(part.first) for part in (data.train, data.validation, data.test)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert sum(len(part) for part in (data.train, data.validation, data.test)) == 40


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"train_en": lines("sentence", 29)}, "line 30 has no other side"),
        ({"train_fr": lines("phrase", 30)}, "name two of their languages"),
        ({"val_en": None}, "there is no val.en"),
        ({"train_en": None, "val_en": None, "test_en": None}, "name two of their languages"),
        ({"train_de": None, "train_en": None}, "no parallel text"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, change: dict[str, list[str] | None], complaint: str
) -> None:
    whole(tmp_path)
    for name, content in change.items():
        if content is None:
            (tmp_path / name.replace("_", ".")).unlink()
        else:
            write(tmp_path, **{name: content})
    with pytest.raises(DataError, match=complaint):
        read_parallel(tmp_path, None, None)


def test_unknown_language_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'fr'; there are de, en"):
        read_parallel(whole(tmp_path), "fr", None)
    with pytest.raises(DataError, match="both 'de'"):
        read_parallel(tmp_path, "de", "de")


def test_broken_bytes_name_their_line(tmp_path: Path) -> None:
    whole(tmp_path)
    (tmp_path / "val.de").write_bytes(b"gut\nsch\xf6n\nx\ny\n")
    with pytest.raises(DataError, match=r"val\.de, line 2: not UTF-8"):
        read_parallel(tmp_path, "de", "en")


def test_half_a_gzip_file_is_refused(tmp_path: Path) -> None:
    whole(tmp_path)
    text = (tmp_path / "val.de").read_bytes() * 100
    (tmp_path / "val.de").unlink()
    (tmp_path / "val.de.gz").write_bytes(gzip.compress(text)[:-20])
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_parallel(tmp_path, "de", "en")


def test_one_part_in_two_files_is_refused(tmp_path: Path) -> None:
    whole(tmp_path)
    write(tmp_path, valid_de=["x"])
    with pytest.raises(DataError, match=r"both val\.de and valid\.de"):
        read_parallel(tmp_path, "de", "en")
