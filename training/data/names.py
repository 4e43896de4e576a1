"""Invented people and organisations, and real places, for generated texts; each belongs to one split.

Places are the CLDR's territories and the cities of its time zones, as Babel carries them, and places
made of syllables; surnames are made of syllables, so that there are enough of them; given names and kinds
of organisation are listed here. Which split a name belongs to follows from its letters and the seed: a
surname or place of the held-out texts is never learned. Given names, kinds of organisation and the
syllables are shared by all splits.
"""

from functools import cache
from random import Random
from typing import Final

from babel import Locale
from babel.core import get_global

from training.data.cldr import Split, split_of

_GIVEN: Final = (
    "Ada Aisha Akira Alan Amara Ana Andrei Anna Arjun Astrid Ben Boris Carla Chen Clara Daniel Diego Elena "
    "Emeka Emil Eva Farid Fatima Felix Grace Hana Hassan Hugo Ines Ingrid Ivan Jana Jonas Jorge Julia Kaito "
    "Karim Kofi Lars Laura Leila Lena Lucia Luis Maja Marco Maria Mei Milan Mina Nadia Nils Noor Olga Omar "
    "Oscar Paula Pedro Priya Rafael Ravi Rosa Samir Sara Sofia Stefan Tariq Tomas Vera Victor Yara Yusuf Zoe"
)
_ONSETS: Final = "B Br D Dr F G Gr H K Kl L M N P R S St T Tr V W"
_VOWELS: Final = "a e i o u au ei ie"
_MIDDLES: Final = "b d k l ld ll m n nd r rr rt s st t v z"
_SURNAME_ENDS: Final = "er sson ski ez man ova ini ard ley off"
_PLACE_ENDS: Final = "burg ville ton stad grad wick ham mouth port dale"
_KINDS: Final = (
    "{a} University|University of {a}|{a} Institute of Technology|{a} Bank|Bank of {a}|{a} United|{a} City|"
    "{b} Group|{b} Ltd|{b} & Sons|{b} and {c}|{b} Industries|{b} Records|{a} Airlines|{a} Orchestra|"
    "{b} Foundation|Museum of {a}|{a} Rovers|{b} Motors|Royal {a} Society"
)
_SHARE_INVENTED = 0.5  # of the places


class Names:
    """Draws names of one split; the same for the same split and seed."""

    def __init__(self, split: Split, seed: int) -> None:
        self._split, self._seed = split, seed
        self._random = Random(f"names/{seed}/{split}")
        self._places = [place for place in _places() if split_of(place, seed) == split]

    def person(self) -> str:
        """Given name and surname."""
        return f"{self._random.choice(_GIVEN.split())} {self.surname()}"

    def surname(self) -> str:
        return self._made(_SURNAME_ENDS)

    def place(self) -> str:
        if self._random.random() < _SHARE_INVENTED:
            return self._made(_PLACE_ENDS)
        return self._random.choice(self._places)

    def organisation(self) -> str:
        kind = self._random.choice(_KINDS.split("|"))
        return kind.format(a=self.place(), b=self.surname(), c=self.surname())

    def _made(self, ends: str) -> str:
        """A name of syllables that belongs to this split. At most one in seven draws does."""
        parts = [part.split() for part in (_ONSETS, _VOWELS, _MIDDLES, ends)]
        while True:
            name = "".join(self._random.choice(part) for part in parts)
            if split_of(name, self._seed) == self._split:
                return name


@cache
def _places() -> tuple[str, ...]:
    territories = Locale.parse("en").territories
    names = {str(name) for code, name in territories.items() if len(code) == 2}
    names |= {
        zone.rsplit("/", 1)[-1].replace("_", " ")
        for zone in get_global("zone_territories")
        if zone.count("/") and not zone.startswith("Etc/")
    }
    letters = sorted(name for name in names if name.replace(" ", "").isalpha())
    return tuple(name for name in letters if "Pseudo" not in name)
