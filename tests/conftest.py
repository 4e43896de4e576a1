"""What all tests share."""

import os

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# A busy machine is no reason to fail: examples are few and small, and pytest's own limit catches a hang.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")

# Servers of the tests serve the graph as it was exported: what they answer, and when they are ready, must
# not depend on which runtime was the fastest a moment ago. Those about selection turn it on.
os.environ.setdefault("SLIPWAY_SELECTION", "false")

_FLOW = "tests/flow/"
_WALK = _FLOW + "test_recipes_walk.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of `flow` go first, or they would be the last to end; and of them the walk over the recipes,
    which trains a model a test that the others then share."""
    items.sort(
        key=lambda item: (not item.nodeid.startswith(_FLOW), not item.nodeid.startswith(_WALK))
    )


class OneProcessAFile(LoadScopeScheduling):
    """Of several processes (`pytest -n`) one runs all tests of a file, whose fixtures are then made once.

    The files of `flow` stay together too, for their models take a minute and a half to train. xdist's own
    marks (`xdist_group`) have no effect with pytest 9.2: they are written where it does not look any more.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _FLOW if nodeid.startswith(_FLOW) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneProcessAFile:
    return OneProcessAFile(config, log)
