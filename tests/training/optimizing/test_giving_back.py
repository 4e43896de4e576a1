"""Layers return to floating point until the budget holds, and no more of them than must."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from training.optimizing.giving_back import Error, give_back
from training.optimizing.targets import get

NAMES_TEXT = "abcdefghij"  # by harm: a is the worst
NAMES = tuple(NAMES_TEXT)


class Graphs:
    """What was written last, and to which file; `harm` of a graph with one layer in int8."""

    def __init__(self, within_budget: Callable[[set[str]], bool]) -> None:
        self.within_budget = within_budget
        self.left: set[str] = set()
        self.only = ""
        self.judged = 0

    def write(self, to: Path, without: Sequence[str], only: Sequence[str]) -> None:
        if only:
            assert to.name == "trial.onnx"
            [self.only] = only
        else:
            assert to.name == "own.onnx"
            self.left = set(without)

    def of(self, graph: Path) -> float:
        assert graph.name == "trial.onnx"
        return 1.0 - NAMES.index(self.only) / 100

    def judge(self) -> str:
        self.judged += 1
        return "" if self.within_budget(self.left) else "over budget"

    def given_back(self, names: Sequence[str] = NAMES) -> str:
        files = (Path("own.onnx"), Path("trial.onnx"))
        found = give_back(
            names[::-1], get("onnxruntime:int8-static"), files, self.write, cast(Error, self),
            self.judge, lambda _: None,
        )  # fmt: skip
        assert self.left == set(found), "the file is the one that is told"
        return "".join(found)


@pytest.mark.parametrize("count", range(1, 9))
def test_no_more_of_the_worst_than_the_budget_needs(count: int) -> None:
    worst = set(NAMES[:count])
    graphs = Graphs(lambda left: worst <= left)
    assert graphs.given_back() == NAMES_TEXT[:count]
    assert graphs.judged < 14


def test_a_bystander_that_the_order_put_in_front_returns_to_int8() -> None:
    assert Graphs(lambda left: {"a", "d"} <= left).given_back() == "ad"


def test_where_nothing_helps_one_layer_stays_in_int8() -> None:
    assert Graphs(lambda _: False).given_back() == NAMES_TEXT[:-1]


def test_a_single_layer_is_not_given_back() -> None:
    """Nothing would be left in int8."""
    graphs = Graphs(lambda _: True)
    assert graphs.given_back(("a",)) == ""
    assert graphs.judged == 0
