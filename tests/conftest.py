"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no reason to fail: examples are few and small, and pytest's own limit catches a hang.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")

# Servers of the tests serve the graph as it was exported: what they answer, and when they are ready, must
# not depend on which runtime was the fastest a moment ago. Those about selection turn it on.
os.environ.setdefault("SLIPWAY_SELECTION", "false")

_HERE = Path(__file__).parent
_FLOW = _HERE / "flow"
_WALK = _FLOW / "test_recipes_walk.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process of several (`pytest -n`) runs all tests of a file, whose fixtures are made once.

    The files of `flow` stay together too, for their models take a minute and a half to train. They go first,
    or they would be the last to end; and of them the walk over the recipes, which trains a model a test that
    the others then share.
    """
    items.sort(key=lambda item: (item.path.parent != _FLOW, item.path != _WALK))
    for item in items:
        group = item.path.parent if item.path.parent == _FLOW else item.path
        item.add_marker(pytest.mark.xdist_group(group.relative_to(_HERE).as_posix()))
