"""How right an answer to a question is, by SQuAD's rules (Rajpurkar et al. 2016; no answer: 2018).

Answers are compared without capitals, punctuation, articles and surplus spaces. An exact match is all or
nothing, F1 is that of the words both have in common; of several right answers the closest counts. Where
nothing is right, only nothing is. English articles: for other languages they are words like any other.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def normalised(answer: str) -> str:
    """What is compared."""
    letters = "".join(sign for sign in answer.lower() if sign not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", letters).split())


def exact_match(given: str, right: Sequence[str]) -> float:
    """1 or 0. No answer is the empty text, and right when `right` is empty."""
    return max(float(normalised(given) == normalised(one)) for one in _or_nothing(right))


def f1(given: str, right: Sequence[str]) -> float:
    """0 … 1, against the closest of `right`."""
    return max(
        _overlap(normalised(given).split(), normalised(one).split()) for one in _or_nothing(right)
    )


def _or_nothing(right: Sequence[str]) -> Sequence[str]:
    # As SQuAD has it: a right answer of articles and punctuation alone cannot be given, so is left out.
    return [one for one in right if normalised(one)] or [""]


def _overlap(given: list[str], right: list[str]) -> float:
    if not given or not right:
        return float(given == right)
    common = sum((Counter(given) & Counter(right)).values())
    return 2 * common / (len(given) + len(right))
