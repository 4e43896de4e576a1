"""CoNLL files are read as people keep them, and a malformed line is named."""

from pathlib import Path

import pytest

from training.data.conll import ConllChoice, load_conll, read_sentences
from training.data.tagged_text import TaggedSentence
from training.errors import DataError

SHARED = Path(__file__).parents[4] / "shared/data/wikiann-en"


def written(folder: Path, text: str, name: str = "train.conll") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


ANNA = TaggedSentence(("Anna", "met", "Karl", "May"), ("B-PER", "O", "B-PER", "I-PER"))


@pytest.mark.parametrize(
    "text",
    [
        "Anna\tB-PER\nmet\tO\nKarl\tB-PER\nMay\tI-PER\n",
        "Anna B-PER\nmet O\nKarl B-PER\nMay I-PER",
        "-DOCSTART- -X- O\n\nAnna NNP I-PER\nmet VBD O\nKarl NNP I-PER\nMay NNP I-PER\n",
        "en:Anna\tB-PER\nen:met\tO\nen:Karl\tB-PER\nen:May\tI-PER\n\n\n",
        "# text = Anna met Karl May\nAnna\tS-PER\nmet\tO\nKarl\tB-PER\nMay\tE-PER\n",
        "\ufeffAnna  B-PER \r\nmet  O\r\nKarl  B-PER\r\nMay  L-PER\r\n  \r\n",
    ],
)
def test_separators_schemes_and_prefixes_mean_the_same(tmp_path: Path, text: str) -> None:
    assert read_sentences(written(tmp_path, text)) == (ANNA,)


def test_blank_lines_and_documents_part_sentences(tmp_path: Path) -> None:
    text = "a O\n\nb O\n-DOCSTART- O\nc O\n   \n\nd O\n"
    words = [one.words for one in read_sentences(written(tmp_path, text))]
    assert words == [("a",), ("b",), ("c",), ("d",)]


def test_a_number_sign_is_a_word_where_it_has_a_tag(tmp_path: Path) -> None:
    [one] = read_sentences(written(tmp_path, "# O\n1 O\n"))
    assert one.words == ("#", "1")


def test_only_a_prefix_that_all_words_have_is_taken_off(tmp_path: Path) -> None:
    [one] = read_sentences(written(tmp_path, "en:a\tO\nb\tO\n"))
    assert one.words == ("en:a", "b")
    [kept] = read_sentences(written(tmp_path, "en:a\tO\nen:b\tO\n"), "")
    assert kept.words == ("en:a", "en:b")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Anna\n", "line 1: one column"),
        ("a O\n\nb\n", "line 3: one column"),
        ("a NN O\nb O\n", "line 2: 2 columns where line 1 has 3"),
        ("a O\nb PERSON\n", "line 2: 'PERSON' is no tag"),
        ("a O\nb B-\n", "line 2: 'B-' is no tag"),
        ("a\tO\n \tO\n", "line 2: the word is empty"),
        ("", "no tagged words"),
        ("\n\n-DOCSTART- O\n", "no tagged words"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=complaint) as caught:
        read_sentences(path)
    assert str(path) in caught.value.message


def test_a_prefix_asked_for_must_be_there(tmp_path: Path) -> None:
    path = written(tmp_path, "de:a\tO\nb\tO\n")
    with pytest.raises(DataError, match="line 2: 'b' does not begin with 'de:'"):
        read_sentences(path, "de:")


def test_bytes_that_are_no_utf8_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "train.conll"
    path.write_bytes(b"a O\nb O\nc\xff O\n")
    with pytest.raises(DataError, match="line 3: not UTF-8"):
        read_sentences(path)


def sentences(count: int, name: str = "Anna") -> str:
    return "".join(f"{name}{n} B-PER\nruns O\n\n" for n in range(count))


def test_given_splits_are_kept(tmp_path: Path) -> None:
    written(tmp_path, sentences(3, "a"), "train.txt")
    written(tmp_path, sentences(2, "b"), "valid.txt")
    written(tmp_path, sentences(1, "c").replace("PER", "MISC"), "test.txt")
    data = load_conll(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (3, 2, 1)
    assert data.labels == ("O", "B-MISC", "I-MISC", "B-PER", "I-PER")
    assert any("no training sentence has MISC" in note for note in data.notes)


def test_what_is_missing_is_cut_by_seed_without_repeats(tmp_path: Path) -> None:
    path = written(tmp_path, sentences(20) + sentences(20))
    one, same, other = (load_conll(path, ConllChoice(seed=seed)) for seed in (1, 1, 2))
    assert one.sha256() == same.sha256() != other.sha256()
    splits = [one.train, one.validation, one.test]
    assert [len(split) for split in splits] == [15, 2, 3]
    assert len({sentence for split in splits for sentence in split}) == 20


def test_a_single_held_out_file_is_what_figures_come_from(tmp_path: Path) -> None:
    written(tmp_path, sentences(10), "train.conll")
    written(tmp_path, sentences(4, "dev"), "dev.conll")
    data = load_conll(tmp_path)
    assert all(sentence.words[0].startswith("dev") for sentence in data.test)
    assert len(data.validation) == 1


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"dev.conll": "a O\n"}, "no training file"),
        ({"train.a": "a O\n", "train.b": "a O\n"}, "both train.a and train.b"),
        ({"train.conll": "a O\n\nb O\n"}, "no training sentence has an entity"),
        ({"train.conll": "a B-X\n"}, "too few sentences"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(
    tmp_path: Path, files: dict[str, str], complaint: str
) -> None:
    for name, text in files.items():
        written(tmp_path, text, name)
    with pytest.raises(DataError, match=complaint):
        load_conll(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="WikiANN is not on this machine")
def test_wikiann_is_read_without_its_language_code() -> None:
    [first, *_] = read_sentences(SHARED / "dev.conll")
    assert first.words[:3] == ("Sioux", "Falls", "Arena")
    assert first.tags[:4] == ("B-ORG", "I-ORG", "I-ORG", "O")
