"""Phrases in one locale's own words: names, amounts, dates, moments, and lists of these.

Used by `training.data.cldr`, which decides what belongs to which split. A SourceItem is the smallest
thing that is learned or held out; its key is the same in every locale.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, Literal

from babel import Locale
from babel.dates import format_date, format_interval, format_skeleton, format_timedelta
from babel.lists import format_list
from babel.numbers import format_currency
from babel.units import format_unit

# Relative frequency of each kind of phrase. Names and their lists carry most of a language's
# vocabulary; dates and moments are few words over and over.
_KINDS: Final = {"name": 34, "list": 26, "amount": 16, "date": 12, "moment": 2, "mixed": 10}
_SKELETONS = ("MMMMEd", "MMMMd", "yMMMM", "GyMMMMEd", "yMMMEd", "MMMMW", "Bhm", "EBhm")
_INTERVALS = ("yMMMMEd", "yMMMEd", "yMMMMd", "yMMMd")
# Length of each unit and the largest count that Babel does not turn into the next larger unit.
_MOMENTS: Final = {
    "minute": (timedelta(minutes=1), 50),
    "hour": (timedelta(hours=1), 20),
    "day": (timedelta(days=1), 5),
    "week": (timedelta(weeks=1), 3),
    "month": (timedelta(days=30.4), 10),
    "year": (timedelta(days=365.3), 40),
}


@dataclass(frozen=True)
class SourceItem:
    """`code` says which of its kind; `name` is its bare name in the locale, "" if it has none."""

    kind: str
    code: str
    name: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.code}"


def source_items(locale: Locale) -> Iterator[SourceItem]:
    """Everything phrases in this locale can be made of, in a fixed order."""
    tables: dict[str, Mapping[str, Any]] = {
        "territory": locale.territories,
        "language": locale.languages,
        "script": locale.scripts,
        "variant": locale.variants,
        "currency": locale.currencies,
    }
    for kind, table in tables.items():
        for code in sorted(table):
            if table[code] != code:
                yield SourceItem(kind, code, table[code])
    for zone in sorted(locale.time_zones):
        yield SourceItem("city", zone, locale.time_zones[zone].get("city", ""))
    for zone in sorted(locale.meta_zones):
        # Summer and winter time share all other words, so that they share the key.
        names = locale.meta_zones[zone].get("long", {})
        yield from (SourceItem("zone", zone, names[form]) for form in sorted(names))
    for unit in sorted(locale.unit_display_names):
        yield SourceItem("unit", unit, locale.unit_display_names[unit].get("long", ""))
    for weekday in range(7):
        for month in range(1, 13):
            yield SourceItem("date", f"{weekday}-{month}")
    yield from (SourceItem("moment", unit) for unit in _MOMENTS)


class PhraseMaker:
    """An endless stream of phrases made of `items`; the same stream for an equal `random`."""

    def __init__(self, locale: Locale, items: list[SourceItem], random: Random) -> None:
        self._locale = locale
        self._random = random
        self._named = [item for item in items if item.name]
        self._measured = [item for item in items if item.kind in ("unit", "currency")]
        self._dates = [item for item in items if item.kind == "date"]
        self._moments = [item for item in items if item.kind == "moment"]
        self._skeletons = [name for name in _SKELETONS if name in locale.datetime_skeletons]
        self._intervals = [name for name in _INTERVALS if name in locale.interval_formats]
        self._makers: dict[str, Callable[[], str]] = {
            "name": self._name,
            "list": self._list,
            "amount": self._amount,
            "date": self._date,
            "moment": self._moment if self._moments else self._date,
            "mixed": self._mixed,
        }

    def __iter__(self) -> Iterator[str]:
        while True:
            (kind,) = self._random.choices(list(_KINDS), list(_KINDS.values()))
            yield " ".join(self._makers[kind]().split())

    def _name(self) -> str:
        return self._random.choice(self._named).name

    def _list(self) -> str:
        count = self._random.choice((2, 2, 3, 4))
        return self._join([item.name for item in self._random.sample(self._named, count)])

    def _mixed(self) -> str:
        makers = self._random.sample((self._name, self._amount, self._date), 2)
        return self._join([maker() for maker in makers])

    def _join(self, parts: list[str]) -> str:
        style: Literal["standard", "or"] = self._random.choice(("standard", "standard", "or"))
        return format_list(parts, style, locale=self._locale)

    def _amount(self) -> str:
        item = self._random.choice(self._measured)
        value = self._random.choice((1, 2, 5, self._random.randint(3, 40), 0.5, 1200))
        if item.kind == "unit":
            return format_unit(value, item.code, "long", locale=self._locale)
        return format_currency(value, item.code, locale=self._locale, format_type="name")

    def _date(self) -> str:
        moment = self._moment_of(self._random.choice(self._dates))
        style = self._random.random()
        if style < 0.4:
            return format_date(moment, "full", locale=self._locale)
        if style < 0.7 or not self._intervals:
            skeleton = self._random.choice(self._skeletons)
            return format_skeleton(skeleton, moment, locale=self._locale)
        end = self._moment_of(self._random.choice(self._dates))
        skeleton = self._random.choice(self._intervals)
        return format_interval(min(moment, end), max(moment, end), skeleton, locale=self._locale)

    def _moment_of(self, item: SourceItem) -> datetime:
        """A random moment of 1960–2039 on the item's weekday and in its month."""
        weekday, month = (int(part) for part in item.code.split("-"))
        first = datetime(
            self._random.randint(1960, 2039), month, 1, self._random.randint(0, 23), 20
        )
        day = (weekday - first.weekday()) % 7 + 7 * self._random.randint(0, 3)
        return first + timedelta(days=day)

    def _moment(self) -> str:
        length, most = _MOMENTS[self._random.choice(self._moments).code]
        delta = length * self._random.randint(1, most) * self._random.choice((1, -1))
        return format_timedelta(delta, add_direction=True, locale=self._locale)
