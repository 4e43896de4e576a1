"""A child that takes orders: samples come back, and its death is told in its own words."""

import sys
from pathlib import Path

import pytest

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.orders import ordered

_CHILD = """
import json, sys
for line in sys.stdin:
    order = json.loads(line)
    if "die" in order:
        sys.exit("no more memory")
    print(json.dumps({"twice": 2 * order["number"], "given": sys.argv[1:]}), flush=True)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "child_of_orders.py").write_text(_CHILD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "child_of_orders" not in sys.modules
    return "child_of_orders"


def test_orders_are_answered_one_by_one(child: str) -> None:
    with ordered(child, "a", 1) as process:
        assert process.run({"number": 2}) == {"twice": 4, "given": ["a", "1"]}
        assert process.run({"number": 3})["twice"] == 6


def test_a_child_that_ends_says_why(child: str) -> None:
    with ordered(child) as process:
        for _ in range(2):  # also when it is gone already
            with pytest.raises(MeasurementFailed, match="no more memory"):
                process.run({"die": True})
