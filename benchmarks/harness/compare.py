"""From rounds to rows: one thing's figure, or two things' figures divided or subtracted round by round."""

from collections.abc import Callable

from benchmarks.harness.rounds import Rounds, Sample
from benchmarks.harness.rows import Rows
from benchmarks.harness.spread import divided, subtracted


def record(
    rows: Rows, key: str, rounds: Rounds[Sample], name: str, figure: Callable[[Sample], float]
) -> None:
    """The figure itself; its failure if it has one."""
    if not _gave_up(rows, key, rounds, name):
        rows.record(key, rounds.of(name, figure))


def record_share(
    rows: Rows,
    key: str,
    rounds: Rounds[Sample],
    names: tuple[str, str],
    figure: Callable[[Sample], float],
    note: str = "",
) -> None:
    """The first thing's figure as a share of the second's."""
    if not _gave_up(rows, key, rounds, *names):
        ours, theirs = (rounds.of(name, figure) for name in names)
        rows.record(key, divided(ours, theirs), note)


def record_difference(
    rows: Rows,
    key: str,
    rounds: Rounds[Sample],
    names: tuple[str, str],
    figure: Callable[[Sample], float],
) -> None:
    """The first thing's figure minus the second's."""
    if not _gave_up(rows, key, rounds, *names):
        ours, theirs = (rounds.of(name, figure) for name in names)
        rows.record(key, subtracted(ours, theirs))


def _gave_up(rows: Rows, key: str, rounds: Rounds[Sample], *names: str) -> bool:
    for name in names:
        if name in rounds.failures:
            rows.give_up(f"not available: {rounds.failures[name]}", key)
            return True
    return False
