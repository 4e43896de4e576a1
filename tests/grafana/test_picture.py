"""The drawn dashboard has the dashboard's panels, and only those that have data."""

from collections.abc import Sequence
from typing import Any

import pytest
from matplotlib.figure import Figure

from helm.grafana.picture import draw
from tests.grafana.dashboards import read
from tests.grafana.promql import selectors, substituted

BOUNDS = ("0.01", "0.1", "+Inf")


def answer(query: str) -> Sequence[dict[str, Any]]:
    """Rising numbers for whatever is asked; nothing for other exporters' series, NaN for batches."""
    metrics = {selector.metric for selector in selectors(substituted(query))}
    if any(not metric.startswith(("slipway_", "namespace_")) for metric in metrics):
        return []
    values = [[10.0 + step, "NaN" if "batch_size" in query else str(step)] for step in range(5)]
    labels = (
        [{"le": bound} for bound in BOUNDS] if query.startswith("sum by (le)") else [{"model": "m"}]
    )
    return [{"metric": one, "values": values} for one in labels]


@pytest.fixture(scope="module")
def picture() -> Figure:
    return draw(read("overview"), ("Objectives", "Latency", "Saturation"), answer, "of a test")


def titles(picture: Figure) -> set[str]:
    return {axes.get_title(loc="left") for axes in picture.axes} - {""}


def test_chosen_rows_are_drawn_and_others_are_not(picture: Figure) -> None:
    assert {"Availability, 30 days", "Latency", "Latency of all requests"} <= titles(picture)
    assert "Answers" not in titles(picture)


def test_panels_without_a_number_are_left_out(picture: Figure) -> None:
    assert "Workers busy with runs" in titles(picture)
    assert titles(picture).isdisjoint({"Throttled by the CPU limit", "Items in a run"})


def test_the_picture_says_where_it_comes_from(picture: Figure) -> None:
    said = [text.get_text() for text in picture.texts]
    assert said[:2] == ["Slipway / Overview", "of a test"]


def test_legends_have_the_labels_values(picture: Figure) -> None:
    [panel] = [axes for axes in picture.axes if axes.get_title(loc="left") == "p95 by model"]
    [inner] = panel.child_axes
    assert [line.get_label() for line in inner.get_lines()] == ["m"]
    assert list(inner.get_lines()[0].get_xdata()) == [0, 1, 2, 3, 4]
