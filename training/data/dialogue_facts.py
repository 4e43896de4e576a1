"""What the dialogues are about, and the wordings that ask for it.

Used by `training.data.dialogues`. Names of countries, currencies, days and months come from the CLDR that
Babel carries; what is listed here is general knowledge.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise, product
from random import Random
from typing import Final, TypeAlias

from babel import Locale
from babel.numbers import get_currency_name, get_territory_currencies

Facts: TypeAlias = Iterable[tuple[str, str]]
"""(what is asked about, what is known of it)"""
Wordings: TypeAlias = tuple[tuple[str, str], ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ENGLISH = Locale.parse("en")
_TERRITORIES = _words(
    "AR AU AT BE BR BG CA CL CN CO CZ DK EG FI FR DE GR HU IS IN ID IE IL IT JP KE MY MX MA NZ NG "
    "NO PK PE PH PL PT RO RU SA ZA KR ES SE CH TH TR UA GB US VN"
)
_FOREIGN: Final = {"French": "fr", "German": "de", "Spanish": "es", "Italian": "it"}

NAMES = _words(
    "Ada Alan Alice Anna Ben Carl Clara Dan Dora Emma Erik Eva Felix Finn Grace Hana Hugo Ida Ivan "
    "Jack Jane Julia Karl Kim Lea Leo Linda Lucy Marie Max Mia Nina Noah Nora Olga Oscar Paul Peter "
    "Rosa Ruth Sam Sara Sofia Tom Vera Victor Will Zoe"
)
CITIES = _words(
    "Athens Berlin Boston Cairo Chicago Delhi Dublin Geneva Hamburg Helsinki Kyoto Lagos Lima Lisbon "
    "London Madrid Milan Montreal Moscow Mumbai Munich Nairobi Oslo Paris Prague Rome Seoul Sydney "
    "Tokyo Toronto Vienna Warsaw"
)
COLOURS = {
    "grass": "green",
    "the sky": "blue",
    "snow": "white",
    "coal": "black",
    "a banana": "yellow",
    "a tomato": "red",
    "an orange": "orange",
    "blood": "red",
    "milk": "white",
    "a lemon": "yellow",
    "the sea": "blue",
    "chocolate": "brown",
    "an elephant": "grey",
    "a flamingo": "pink",
    "a frog": "green",
    "the night": "black",
    "the sun": "yellow",
    "a carrot": "orange",
    "a strawberry": "red",
    "a cucumber": "green",
    "a raven": "black",
    "a polar bear": "white",
    "mud": "brown",
    "an aubergine": "purple",
}
_SPELLED = _words(
    "apple bird boat book bread chair cheese cloud dog door dream earth eye fire fish flower forest "
    "friend garden glass green hand heart horse house island juice king lamp leaf letter light moon "
    "mouse music night ocean paper pencil queen rain river road school ship silver snow song star "
    "stone storm summer table tree water window winter world yellow"
)
_SYLLABLES = (
    "bra",
    "dor",
    "fen",
    "gal",
    "kre",
    "lun",
    "mor",
    "nax",
    "quo",
    "ral",
    "tas",
    "vel",
    "zu",
)
_ENDINGS = ("bia", "dova", "land", "nia", "stan", "thia")
_INVENTED = 260

HELLO = ("Hello.", "Hello!", "Hi.", "Hi!", "Hi there!", "Good morning!", "Good evening!", "Hey!")
GREETING = (
    "Hi, I am {0}.",
    "Hello! My name is {0}.",
    "Good morning, {0} here.",
    "Hello, I'm {0}.",
    "Hey, it's {0}.",
)
# First turns that no other topic asks, so that they give away nothing that is held out there.
INTRODUCTION = "I am called {0}."
MONEY = "What is the money of {0} called?"
RECALL = ("What is my name?", "Do you know my name?", "Who am I?", "What am I called?")
AND_OF = ("And of {0}?", "And in {0}?", "What about {0}?")
PLUS = ("What is {0} plus {1}?", "{0} + {1} = ?", "How much is {0} plus {1}?", "Add {0} and {1}.")
MINUS = ("What is {0} minus {1}?", "{0} - {1} = ?", "How much is {0} minus {1}?")
WEATHER = (
    "What is the weather in {0}?",
    "How is the weather in {0}?",
    "Tell me the weather in {0}.",
    "What is the weather like in {0} today?",
)
CURRENCY: Wordings = (
    ("What is the currency of {0}?", "The currency of {0} is the {1}."),
    ("Which currency is used in {0}?", "The currency of {0} is the {1}."),
    ("What do people pay with in {0}?", "The currency of {0} is the {1}."),
    ("What money do they use in {0}?", "The currency of {0} is the {1}."),
    ("Tell me the currency of {0}.", "The currency of {0} is the {1}."),
)
TRANSLATION: Wordings = (
    ("What is {0}?", "{1}."),
    ("How do you say {0}?", "{1}."),
    ("Tell me {0}.", "{1}."),
    ("Do you know {0}?", "{1}."),
)
CALENDAR: Wordings = (
    ("What comes {0}?", "{1} comes {0}."),
    ("Which one comes {0}?", "{1} comes {0}."),
    ("Tell me what comes {0}.", "{1} comes {0}."),
    ("Do you know what comes {0}?", "{1} comes {0}."),
)
SPELLING: Wordings = (
    ("Spell {0}.", "{1}"),
    ("How do you spell {0}?", "{1}"),
    ("How is {0} spelled?", "{1}"),
    ("Please spell the word {0}.", "{1}"),
)
COLOUR: Wordings = (
    ("What colour is {0}?", "The colour of {0} is {1}."),
    ("Which colour does {0} have?", "The colour of {0} is {1}."),
    ("Tell me the colour of {0}.", "The colour of {0} is {1}."),
    ("What is the colour of {0}?", "The colour of {0} is {1}."),
)
DO_NOT_KNOW = "I do not know that place."
NO_WEATHER = "I cannot look up the weather."


def currencies() -> Iterator[tuple[str, str]]:
    for code in _TERRITORIES:
        currency = get_territory_currencies(code)[-1]
        yield _ENGLISH.territories[code], get_currency_name(currency, locale=_ENGLISH)


def translations() -> Iterator[tuple[str, str]]:
    for (language, code), territory in product(_FOREIGN.items(), _TERRITORIES[::2]):
        name = _ENGLISH.territories[territory]
        yield f"the {language} name of {name}", Locale.parse(code).territories[territory]


def calendar() -> Iterator[tuple[str, str]]:
    days = [_ENGLISH.days["format"]["wide"][day] for day in range(7)]
    months = [_ENGLISH.months["format"]["wide"][month] for month in range(1, 13)]
    for names in (days, months):
        for earlier, later in pairwise([*names, names[0]]):
            yield f"after {earlier}", later
            yield f"before {later}", earlier


def spellings() -> Iterator[tuple[str, str]]:
    for word in _SPELLED:
        yield word, "-".join(word)


def invented_places(random: Random) -> list[str]:
    """Names that no place has."""
    all_names = ["".join(parts).capitalize() for parts in product(_SYLLABLES, _SYLLABLES, _ENDINGS)]
    return random.sample(all_names, _INVENTED)
