"""Which of several outcomes are not beaten in everything by another. Pure."""

from collections.abc import Sequence


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Larger is better along every axis: nowhere worse, somewhere better."""
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def front(outcomes: Sequence[Sequence[float]]) -> list[int]:
    """Indices of those that nothing dominates, in their order; equals are all among them."""
    return [
        index
        for index, mine in enumerate(outcomes)
        if not any(dominates(other, mine) for other in outcomes)
    ]
