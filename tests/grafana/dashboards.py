"""The committed dashboards as the tests read them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "helm" / "slipway" / "dashboards"
NAMES = ("overview", "generation", "gpu")


class Query(NamedTuple):
    dashboard: str
    panel: str
    legend: str
    expression: str
    has_exemplars: bool = False

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} ({self.legend})"


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def panels(name: str) -> list[dict[str, Any]]:
    """Without the rows' titles."""
    return [panel for panel in read(name)["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Query]:
    """Of all panels of all dashboards."""
    for name in NAMES:
        for panel in panels(name):
            for target in panel["targets"]:
                legend, expression = target["legendFormat"], target["expr"]
                yield Query(name, panel["title"], legend, expression, target["exemplar"])


def annotations() -> Iterator[Query]:
    for name in NAMES:
        for entry in read(name)["annotations"]["list"]:
            yield Query(name, entry["name"], entry["titleFormat"], entry["expr"])
