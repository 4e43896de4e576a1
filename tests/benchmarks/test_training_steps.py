"""Parts of a training step are compared fairly: in turns, the best of each, and what is timed really runs."""

from benchmarks import training_steps
from benchmarks.training_steps import Pair, compare


def test_both_ways_take_turns() -> None:
    seen: list[str] = []
    compare(Pair("p", lambda: seen.append("theirs"), lambda: seen.append("ours")), rounds=2)
    assert seen == ["theirs", "ours"] * 3


def test_every_part_runs_both_ways() -> None:
    for pair in training_steps.pairs():
        if "22 million" not in pair.what:  # half a gigabyte; the command itself is the test of it
            theirs_s, ours_s = compare(pair, rounds=0)
            assert 0 < theirs_s < 60
            assert 0 < ours_s < 60
