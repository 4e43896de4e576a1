"""Generated pairs follow their grammar and rule, and hold combinations out."""

import re

from training.data.bilingual_sentences import bilingual_sentences
from training.data.reports import reports
from training.data.text_pairs import PairData

_ARTICLES = {"der", "die", "das", "den", "ein", "eine", "einen"}


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def test_equal_seeds_make_equal_pairs_and_others_do_not() -> None:
    for make in (bilingual_sentences, reports):
        assert make(40, 5, 5, 1).sha256() == make(40, 5, 5, 1).sha256()
        assert make(40, 5, 5, 1).sha256() != make(40, 5, 5, 2).sha256()


def test_no_text_stands_in_two_splits_and_no_split_repeats_one() -> None:
    for make in (bilingual_sentences, reports):
        data = make(300, 30, 30, 0)
        texts = [*data.train.first, *data.validation.first, *data.test.first]
        assert len(set(texts)) == len(texts) == 360


def test_german_articles_and_adjectives_agree() -> None:
    data = bilingual_sentences(1500, 5, 5, 0)
    sentences = " ".join(data.train.first)
    for wrong in (
        r"\bder \w+e Frau",  # a feminine noun with the masculine article
        r"\bein \w+e (Mann|Kind)\b",
        r"\beinen \w+ (Kind|Frau)\b",
        r"\bdie \w+e (Männer|Frauen|Kinder)\b",
    ):
        assert not re.search(wrong, sentences), re.search(wrong, sentences)
    for right in (r"\bein \w+er Mann\b", r"\bein \w+es Kind\b", r"\beinen \w+en Hund\b"):
        assert re.search(right, sentences), right


def test_participles_and_subordinate_verbs_come_last_in_german_alone() -> None:
    data = bilingual_sentences(800, 5, 5, 0)
    pairs = list(zip(data.train.first, data.train.second, strict=True))
    perfect = [pair for pair in pairs if " gestern " in pair[0]]
    assert perfect
    for german, english in perfect:
        assert re.search(r"(ge\w+|vergessen|verkauft)\.$", german), german
        assert english.endswith(" yesterday.")
    assert [german for german, _ in pairs if re.search(r", dass .* (sieht|kauft)\.$", german)]


def test_test_sentences_have_new_combinations_of_known_words() -> None:
    data = bilingual_sentences(4000, 50, 100, 0)
    known = words(" ".join((*data.train.first, *data.train.second)))
    new = words(" ".join((*data.test.first, *data.test.second))) - known
    assert all(word.isdigit() for word in new), new  # numbers are spelled digit by digit


def test_headlines_say_the_decision_and_its_amount_and_month() -> None:
    data = reports(300, 20, 20, 0)
    for report, headline in zip(data.test.first, data.test.second, strict=True):
        found = re.fullmatch(r"(\w+) (.+) to (\w+) (the .+) for ([\d,]+) euros by (\w+)", headline)
        assert found, headline
        town, body, deed, thing, amount, month = found.groups()
        assert report.startswith(f"The {body} of {town} met")
        [decision] = [
            sentence
            for sentence in re.split(r"(?<=\.) ", report)
            if re.search("voted|agreed|decided", sentence)
        ]
        for part in (deed, thing, amount, month):
            assert part in decision


def test_other_things_and_amounts_stand_around_the_decision() -> None:
    data = reports(300, 20, 20, 0)
    assert sum(report.count(" euros") >= 2 for report in data.train.first) > 150
    assert len({_place(report) for report in data.train.first}) >= 3


def test_decisions_of_the_test_are_never_learned() -> None:
    data: PairData = reports(2000, 50, 100, 0)
    learned, asked = (
        {re.sub(r"^.+? to | for .*$", "", text) for text in part.second}
        for part in (data.train, data.test)
    )
    assert asked
    assert not learned & asked


def _place(report: str) -> int:
    """At which sentence the decision stands."""
    sentences = re.split(r"(?<=\.) ", report)
    return next(i for i, text in enumerate(sentences) if re.search("voted|agreed|decided", text))
