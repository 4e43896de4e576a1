import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.errors import UsageError
from service.selection.choice import Choice
from service.tuning import tuning as module
from service.tuning.objective import Objective, Slo
from service.tuning.outcome import Outcome
from service.tuning.plan import plan_file, read_plan
from service.tuning.search import Found
from service.tuning.space import Setting, Shape
from service.tuning.tuning import NothingServed, Order, Result, Tuning, decided, prepare, run
from tests.service.bundles import digits_bundle, writer_bundle
from tests.service.tuning.settings import FP32, INT8, Machine, load, outcome, setting

OTHER = Choice(runtime="openvino", precision="fp32")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return digits_bundle(tmp_path / "repository")


@pytest.fixture(autouse=True)
def two_choices_and_two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "candidates", lambda *_, **__: [FP32, OTHER])
    monkeypatch.setattr(module, "usable_cores", lambda: 2.0)


def rate(of: Setting) -> float:
    return (100.0 if of.choice == OTHER else 40.0) * (1.5 if of.shape == Shape(1, 2) else 1.0)


def done(bundle: Bundle, order: Order, machine: Machine | None = None) -> tuple[Result, list[str]]:
    lines: list[str] = []
    result = run(prepare(bundle, order), lines.append, machine or Machine(rate, start_s=0.0))
    return result, lines


def test_the_best_is_written_as_a_plan_that_a_server_reads(bundle: Bundle) -> None:
    result, lines = done(bundle, Order(concurrency=(8,)))
    plan = read_plan(bundle)
    assert plan is not None
    assert plan.choice == OTHER
    assert (plan.workers, plan.threads) == (1, 2)
    assert plan.objective == "throughput"
    assert [measured.requests_per_s for measured in plan.measured] == [150.0]
    assert result.file == plan_file(bundle)
    assert result.exit_code == 0
    assert any("openvino fp32, 1×2" in line for line in lines)
    assert "150 requests/s" in result.text(everything=False)
    assert "instead of: onnxruntime fp32, 2×1, batch 4: 40.0 requests/s" in result.text(
        everything=False
    )


def test_a_limit_that_cannot_be_kept_writes_nothing_and_names_the_nearest(bundle: Bundle) -> None:
    objective = Objective(Slo("p99_ms", 1.0))
    result, _ = done(bundle, Order(objective, (8,)), Machine(rate, lambda of: 200 / rate(of), 0.0))
    assert result.exit_code == 3
    assert not plan_file(bundle).exists()
    text = result.text(everything=False)
    assert "p99_ms=1 cannot be kept here; the nearest, not written: openvino fp32, 1×2" in text


def test_an_interruption_writes_nothing_and_prints_the_best_so_far(bundle: Bundle) -> None:
    machine = Machine(rate, start_s=0.0)
    machine.interrupt_after = 4
    result, _ = done(bundle, Order(concurrency=(8,)), machine)
    assert result.exit_code == 130
    assert not plan_file(bundle).exists()
    assert "interrupted; the best so far, not written: openvino" in result.text(everything=False)


def test_an_interruption_before_anything_was_measured_is_just_that(bundle: Bundle) -> None:
    machine = Machine(rate)
    machine.interrupt_after = 0
    with pytest.raises(KeyboardInterrupt):
        done(bundle, Order(), machine)


def test_too_little_time_for_every_choice_writes_nothing_and_asks_for_more(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Found([outcome(setting(FP32, batch=4), load(40))], ran_out=True)
    monkeypatch.setattr("service.tuning.search.Search.run", lambda _: found)
    result, _ = done(bundle, Order(time_s=7))
    assert result.exit_code == 1
    assert not plan_file(bundle).exists()
    assert "1 of 2 choices were not looked at in 7 s" in result.text(everything=False)


def test_where_nothing_can_be_served_the_reasons_are_told(bundle: Bundle) -> None:
    machine = Machine(rate)
    machine.broken = {FP32: "no memory", OTHER: "its exam failed"}
    with pytest.raises(NothingServed, match=r"no memory; not served: openvino .*its exam failed"):
        done(bundle, Order(), machine)
    assert not plan_file(bundle).exists()


def test_figures_for_programs_are_json_and_name_the_chosen_row(bundle: Bundle) -> None:
    result, _ = done(bundle, Order(concurrency=(8,)))
    document = json.loads(json.dumps(result.document()))
    [chosen] = [row for row in document["rows"] if row["is_chosen"]]
    assert chosen["choice"]["runtime"] == "openvino"
    assert chosen["shape"] == {"workers": 1, "threads": 2}
    assert document["is_reached"] is True


def test_intentions_name_everything_that_is_searched(bundle: Bundle) -> None:
    tuning: Tuning = prepare(bundle, Order(Objective(Slo("p99_ms", 50.0)), (1, 8)))
    text = "\n".join(tuning.intentions())
    for part in ("p99_ms=50", "callers: 1, 8", "openvino fp32", "2×1, 1×2, 1×1", "batch: 1, 4"):
        assert part in text
    assert str(tuning.space.size) in text


def test_models_that_write_texts_are_refused_with_another_way(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="slipway bench URL writer --generate"):
        prepare(writer_bundle(tmp_path / "repository"), Order())


def test_the_start_stays_unless_another_is_better_by_more_than_chance() -> None:
    start, other = outcome(setting(), load(100)), outcome(setting(INT8), load(101))
    better = replace(other, loads=(load(110),))
    assert decided(Found([], [start, other]), Objective(), setting()) == start
    assert decided(Found([], [start, better]), Objective(), setting()) == better


def test_finals_decide_before_lucky_looks() -> None:
    lucky = outcome(setting(INT8, (1, 1)), load(999))
    finals = [outcome(setting(), load(100)), outcome(setting(INT8), load(200))]
    assert decided(Found([lucky], finals), Objective(), setting()) == finals[1]
    failed: Outcome = outcome(setting(), failure="crashed")
    assert decided(Found([failed], []), Objective(), setting()) is None


def test_looks_share_the_time() -> None:
    assert Order(time_s=180, concurrency=(1, 4, 16)).budget.look_s == 1.5
    assert Order(time_s=10, concurrency=(1, 4, 16)).budget.look_s == 0.5
    assert Order(time_s=86_400).budget.look_s == 10
