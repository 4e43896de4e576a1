"""German sentences and their English: data for translation that need no download.

A small grammar writes both sides of one meaning. German inflects articles, adjectives and nouns for
gender, case and number, puts the verb second, the participle or the infinitive last, and the verb of a
subordinate clause last; English does none of that. Dates and numbers are Babel's, in each language's own
format. What is held out are combinations: no (subject, verb, object) of the test sentences is ever
learned, though each word is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Final, Literal

from babel.dates import format_skeleton
from babel.numbers import format_decimal

from training.data.text_pairs import PairData, Pairs

Gender = Literal["m", "f", "n"]
Case = Literal["nom", "acc"]


@dataclass(frozen=True)
class _Noun:
    gender: Gender
    de: str
    de_plural: str
    en: str
    en_plural: str
    is_person: bool


@dataclass(frozen=True)
class _Verb:
    """German third persons, participle, infinitive; English third person, past, infinitive."""

    de: str
    de_plural: str
    de_participle: str
    de_infinitive: str
    en: str
    en_past: str
    en_infinitive: str


@dataclass(frozen=True)
class _Phrase:
    """A noun phrase in both languages; German in both cases."""

    noun: _Noun
    nom: str
    acc: str
    en: str
    is_plural: bool


_NOUNS: Final = tuple(
    _Noun(gender, de, plural, en, en_plural, is_person)  # type: ignore[arg-type]  # read from a table
    for gender, de, plural, en, en_plural, is_person in (
        ("m", "Mann", "Männer", "man", "men", True),
        ("f", "Frau", "Frauen", "woman", "women", True),
        ("n", "Kind", "Kinder", "child", "children", True),
        ("m", "Lehrer", "Lehrer", "teacher", "teachers", True),
        ("f", "Ärztin", "Ärztinnen", "doctor", "doctors", True),
        ("n", "Mädchen", "Mädchen", "girl", "girls", True),
        ("m", "Bruder", "Brüder", "brother", "brothers", True),
        ("f", "Schwester", "Schwestern", "sister", "sisters", True),
        ("m", "Hund", "Hunde", "dog", "dogs", False),
        ("f", "Katze", "Katzen", "cat", "cats", False),
        ("n", "Pferd", "Pferde", "horse", "horses", False),
        ("m", "Apfel", "Äpfel", "apple", "apples", False),
        ("f", "Lampe", "Lampen", "lamp", "lamps", False),
        ("n", "Buch", "Bücher", "book", "books", False),
        ("m", "Koffer", "Koffer", "suitcase", "suitcases", False),
        ("f", "Zeitung", "Zeitungen", "newspaper", "newspapers", False),
        ("n", "Fahrrad", "Fahrräder", "bicycle", "bicycles", False),
        ("m", "Schlüssel", "Schlüssel", "key", "keys", False),
        ("f", "Tasche", "Taschen", "bag", "bags", False),
        ("n", "Bild", "Bilder", "picture", "pictures", False),
    )
)
_VERBS: Final = tuple(
    _Verb(*forms)
    for forms in (
        ("sieht", "sehen", "gesehen", "sehen", "sees", "saw", "see"),
        ("kauft", "kaufen", "gekauft", "kaufen", "buys", "bought", "buy"),
        ("sucht", "suchen", "gesucht", "suchen", "looks for", "looked for", "look for"),
        ("findet", "finden", "gefunden", "finden", "finds", "found", "find"),
        ("bringt", "bringen", "gebracht", "bringen", "brings", "brought", "bring"),
        ("malt", "malen", "gemalt", "malen", "paints", "painted", "paint"),
        ("trägt", "tragen", "getragen", "tragen", "carries", "carried", "carry"),
        ("vergisst", "vergessen", "vergessen", "vergessen", "forgets", "forgot", "forget"),
        ("verkauft", "verkaufen", "verkauft", "verkaufen", "sells", "sold", "sell"),
        ("zeigt", "zeigen", "gezeigt", "zeigen", "shows", "showed", "show"),
    )
)
_ADJECTIVES: Final = (
    ("alt", "old"), ("klein", "small"), ("groß", "big"), ("neu", "new"), ("schön", "beautiful"),
    ("jung", "young"), ("schnell", "fast"),
)  # fmt: skip
_OF_THINGS: Final = (("rot", "red"), ("schwer", "heavy"), ("blau", "blue"), ("leicht", "light"))
_DEFINITE: Final = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
}
_INDEFINITE: Final = {
    "nom": {"m": "ein", "f": "eine", "n": "ein"},
    "acc": {"m": "einen", "f": "eine", "n": "ein"},
}
# Endings of adjectives after the definite article, the indefinite one, and a number.
_WEAK: Final = {
    "nom": {"m": "e", "f": "e", "n": "e", "p": "en"},
    "acc": {"m": "en", "f": "e", "n": "e", "p": "en"},
}
_MIXED: Final = {
    "nom": {"m": "er", "f": "e", "n": "es"},
    "acc": {"m": "en", "f": "e", "n": "es"},
}
_CASES: Final[tuple[Case, Case]] = ("nom", "acc")
_THINKERS: Final = (
    ("Ich glaube", "I believe"), ("Wir wissen", "We know"), ("Sie sagt", "She says"),
    ("Alle hoffen", "Everyone hopes"),
)  # fmt: skip
_PLACES: Final = (
    ("im Garten", "in the garden"), ("in der Stadt", "in the city"), ("am Bahnhof", "at the station"),
    ("auf dem Markt", "at the market"), ("vor dem Haus", "in front of the house"),
)  # fmt: skip
# Part of all (subject, verb, object) that only validation, or only test sentences hold.
_HELD_OUT: Final = 0.1


def bilingual_sentences(train: int, validation: int, test: int, seed: int) -> PairData:
    """German first, English second."""
    counts = {"train": train, "validation": validation, "test": test}
    found: dict[str, dict[str, str]] = {split: {} for split in counts}
    random = Random(seed)
    homes: dict[tuple[str, str, str], str] = {}
    while any(len(found[split]) < count for split, count in counts.items()):
        subject = random.choice([noun for noun in _NOUNS if noun.is_person])
        verb = random.choice(_VERBS)
        thing = random.choice([noun for noun in _NOUNS if not noun.is_person])
        split = homes.setdefault((subject.de, verb.de, thing.de), _home(random))
        if len(found[split]) < counts[split]:
            german, english = _sentence(subject, verb, thing, random)
            found[split][german] = english
    splits = {split: Pairs(tuple(rows), tuple(rows.values())) for split, rows in found.items()}
    return PairData(
        name="generated German and English sentences",
        kind="positive",
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        notes=("no test sentence's subject, verb and object meet in training",),
    )


def _home(random: Random) -> str:
    place = random.random()
    if place < _HELD_OUT:
        return "test"
    return "validation" if place < 2 * _HELD_OUT else "train"


def _sentence(subject: _Noun, verb: _Verb, thing: _Noun, random: Random) -> tuple[str, str]:
    patterns: tuple[Callable[[_Phrase, _Verb, _Phrase, Random], tuple[str, str]], ...] = (
        _present,
        _perfect,
        _dated,
        _wish,
        _subordinate,
    )
    who = _phrase(subject, random, may_count=False)
    what = _phrase(thing, random, may_count=True)
    german, english = random.choice(patterns)(who, verb, what, random)
    return german[0].upper() + german[1:] + ".", english[0].upper() + english[1:] + "."


def _phrase(noun: _Noun, random: Random, *, may_count: bool) -> _Phrase:
    more = () if noun.is_person else _OF_THINGS
    stem, english = random.choice((*_ADJECTIVES, *more, ("", "")))
    kind = random.choice(("definite", "indefinite", "plural", "number" if may_count else "plural"))
    german: dict[Case, str] = {}
    gap = f"{english} " if english else ""
    if kind in ("definite", "indefinite"):
        tables = (_DEFINITE, _WEAK) if kind == "definite" else (_INDEFINITE, _MIXED)
        for case in _CASES:
            ending = f"{stem}{tables[1][case][noun.gender]} " if stem else ""
            german[case] = f"{tables[0][case][noun.gender]} {ending}{noun.de}"
        article = "the" if kind == "definite" else _article(gap + noun.en)
        return _Phrase(noun, german["nom"], german["acc"], f"{article} {gap}{noun.en}", False)
    if kind == "plural":
        middle = f"{stem}en " if stem else ""
        both = f"die {middle}{noun.de_plural}"
        return _Phrase(noun, both, both, f"the {gap}{noun.en_plural}", True)
    number = random.choice((random.randint(2, 99), random.randint(1001, 9999)))
    middle = f"{stem}e " if stem else ""
    both = f"{format_decimal(number, locale='de')} {middle}{noun.de_plural}"
    counted = f"{format_decimal(number, locale='en')} {gap}{noun.en_plural}"
    return _Phrase(noun, both, both, counted, True)


def _article(following: str) -> str:
    return "an" if following[0] in "aeiou" else "a"


def _present(who: _Phrase, verb: _Verb, what: _Phrase, random: Random) -> tuple[str, str]:
    """The place comes first in German, last in English; the verb stays second."""
    place = random.choice(_PLACES)
    german_verb = verb.de_plural if who.is_plural else verb.de
    english_verb = verb.en_infinitive if who.is_plural else verb.en
    return (
        f"{place[0]} {german_verb} {who.nom} {what.acc}",
        f"{who.en} {english_verb} {what.en} {place[1]}",
    )


def _perfect(who: _Phrase, verb: _Verb, what: _Phrase, _: Random) -> tuple[str, str]:
    """The participle comes last."""
    auxiliary = "haben" if who.is_plural else "hat"
    return (
        f"{who.nom} {auxiliary} gestern {what.acc} {verb.de_participle}",
        f"{who.en} {verb.en_past} {what.en} yesterday",
    )


def _dated(who: _Phrase, verb: _Verb, what: _Phrase, random: Random) -> tuple[str, str]:
    """A date first: the verb stays second, the subject follows it."""
    day = date(2000, random.randint(1, 12), random.randint(1, 28))
    auxiliary = "haben" if who.is_plural else "hat"
    german, english = (format_skeleton("MMMMd", day, locale=locale) for locale in ("de", "en"))
    return (
        f"am {german} {auxiliary} {who.nom} {what.acc} {verb.de_participle}",
        f"on {english}, {who.en} {verb.en_past} {what.en}",
    )


def _wish(who: _Phrase, verb: _Verb, what: _Phrase, _: Random) -> tuple[str, str]:
    """The infinitive comes last."""
    german, english = ("wollen", "want to") if who.is_plural else ("will", "wants to")
    return (
        f"{who.nom} {german} {what.acc} {verb.de_infinitive}",
        f"{who.en} {english} {verb.en_infinitive} {what.en}",
    )


def _subordinate(who: _Phrase, verb: _Verb, what: _Phrase, random: Random) -> tuple[str, str]:
    """The verb comes last."""
    german, english = random.choice(_THINKERS)
    german_verb = verb.de_plural if who.is_plural else verb.de
    english_verb = verb.en_infinitive if who.is_plural else verb.en
    return (
        f"{german}, dass {who.nom} {what.acc} {german_verb}",
        f"{english} that {who.en} {english_verb} {what.en}",
    )
