"""Engines' reports: counts add up, gauges are the moment's, several front ends count once."""

from dataclasses import fields

from service.generation.stats import GAUGES, EngineStats
from service.observability.engine_meters import MEASURES, EngineMeters


def test_every_measure_is_shown_and_is_what_it_says() -> None:
    shown = {measure.attribute: measure.kind for measure in MEASURES}
    assert shown.keys() == {entry.name for entry in fields(EngineStats)} - {"ended"}
    assert {name for name, kind in shown.items() if kind == "gauge"} == set(GAUGES)


def test_counts_add_up_and_gauges_are_the_latest() -> None:
    meters = EngineMeters()
    assert not meters.is_used
    meters.reported(EngineStats(running=3, steps=10, ended={"stop": 1}))
    meters.reported(EngineStats(running=1, steps=5, ended={"stop": 2, "error": 1}))
    assert (meters.stats.running, meters.stats.steps) == (1, 15)
    assert meters.stats.ended == {"stop": 3, "error": 1}
    assert meters.is_used


def test_front_ends_that_were_told_nothing_change_no_sum() -> None:
    primary, secondary, total = EngineMeters(), EngineMeters(), EngineMeters()
    primary.reported(EngineStats(waiting=4, decode_tokens=7, ended={"stop": 1}))
    dumps = [primary.dump(), secondary.dump()]
    for dump in dumps:
        total.add(dump)
    total.show(dumps)
    assert total.is_used
    assert total.stats == primary.stats
