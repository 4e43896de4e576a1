"""The documentation lists every metric, in the words that `/metrics` itself uses."""

import re
from pathlib import Path

from service.observability.families import FAMILIES

PAGE = Path(__file__).parents[3] / "docs" / "observability.md"


def test_the_page_lists_every_metric_with_its_meaning() -> None:
    rows = re.findall(r"^\| `(slipway_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", PAGE.read_text(), re.M)
    expected = [
        (f"slipway_{family.name}", family.kind, ", ".join(family.labels) or "–", family.help)
        for family in FAMILIES
    ]
    assert rows == expected


def test_queries_on_the_page_name_real_metrics() -> None:
    known = set()
    for family in FAMILIES:
        name = f"slipway_{family.name}"
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        known |= {name, *(name + suffix for suffix in suffixes)}
    named = set(re.findall(r"\bslipway_\w+", PAGE.read_text()))
    assert named <= known


def test_names_follow_prometheus_customs() -> None:
    for family in FAMILIES:
        assert family.name.endswith("_total") is (family.kind == "counter"), family.name
        assert family.help.endswith("."), family.name
        assert not re.search(r"_(ms|milliseconds|minutes|kb)\b", family.name)
