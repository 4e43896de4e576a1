"""What an engine measures: counted once, gauges of the moment, and nothing else is believed."""

import orjson
import pytest

from service.generation.stats import GAUGES, EngineStats


def test_counts_are_those_since_the_last_time() -> None:
    stats = EngineStats()
    stats.steps += 3
    stats.count_end("stop")
    first = stats.take(running=2, waiting=1)
    assert (first.steps, first.running, first.waiting, first.ended) == (3, 2, 1, {"stop": 1})
    assert stats.take(running=0) == EngineStats()


def test_it_crosses_as_it_is() -> None:
    stats = EngineStats(running=2, step_s=0.25, ended={"length": 4})
    assert EngineStats.from_json(stats.to_json()) == stats


@pytest.mark.parametrize(
    "change", [{"steps": "3"}, {"ended": [1]}, {"ended": {"stop": None}}, {"more": 1}]
)
def test_what_a_broken_worker_sends_is_refused(change: dict[str, object]) -> None:
    document = orjson.loads(EngineStats().to_json()) | change
    with pytest.raises(ValueError, match="statistics"):
        EngineStats.from_json(orjson.dumps(document))


def test_every_gauge_is_a_field() -> None:
    assert set(GAUGES) <= set(vars(EngineStats()))
