"""What a metric is: its name, its meaning, its labels, and where its samples come from."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from service.observability.exemplars import Exemplars
from service.observability.histogram import Histogram
from service.observability.metrics import Metrics

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]


class Cell(NamedTuple):
    """One child of a histogram. `exemplars`: None where requests are not traced one by one."""

    labels: Labels
    histogram: Histogram
    exemplars: Exemplars | None = None


class Family(NamedTuple):
    """`name` without prefix, but with a counter's `_total`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    samples: Callable[[Metrics], Iterable[Sample]]


class HistogramFamily(NamedTuple):
    name: str
    help: str
    labels: tuple[str, ...]
    cells: Callable[[Metrics], Iterable[Cell]]
    kind: Kind = "histogram"
