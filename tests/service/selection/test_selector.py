"""How one version comes to be run: pinned, tuned, remembered or timed, and always within bounds."""

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.errors import ExamFailed
from models.manifest import Variant
from models.publish import publish
from models.runtimes.base import LoadCrashed, LoadTimeout
from service.selection.cache import SelectionCache
from service.selection.choice import Choice, choice_of, reference
from service.selection.selector import Selector, Settled
from service.selection.trial import Comparison, Trial
from service.selection.wishes import Wishes
from service.tuning.plan import TuningPlan, bundle_sha256, write_plan
from service.workers.base import LoadReport
from tests.service import graphs
from tests.service.loops import in_loop
from tests.service.selection.fakes import Clock
from tests.service.selection.test_choice import variant

FILES = ("int8-static", "int8-dynamic", "int4")
MS = {"fp32": 10.0, "int8-static": 4.0, "int8-dynamic": 2.0, "int4": 20.0}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The reference and three variants, the quickest of which depends on its neighbours."""
    plain = graphs.doubler().publish(tmp_path / "plain", "double", tmp_path)
    staged = tmp_path / "staged"
    (staged / "variants").mkdir(parents=True)
    for file in plain.manifest.files:
        (staged / file).write_bytes(plain.read(file))
    variants = tuple(_published(staged, precision) for precision in FILES)
    return publish(
        tmp_path / "repository", plain.manifest.model_copy(update={"variants": variants}), staged
    )


def _published(staged: Path, precision: str) -> Variant:
    file = f"variants/{precision}.onnx"
    (staged / file).write_bytes((staged / "model.onnx").read_bytes())
    is_alone = precision == "int8-dynamic"
    return variant(precision, file=file, is_row_independent=not is_alone)


class FakePool:
    """Comparing takes half a second for each candidate and as long for the reference."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.examined: list[str] = []
        self.compared: list[list[str]] = []
        self.failing: set[str] = set()
        self.crashing: set[str] = set()
        self.is_disturbed = False
        self.is_comparing = False
        self.takes_s = 0.5
        self.ms = dict(MS)

    async def examine(self, bundle: Bundle, choice: Choice) -> LoadReport:
        self.examined.append(choice.precision)
        if choice.precision in self.failing:
            raise ExamFailed(f"{bundle.name}: golden exam: wrong")
        return LoadReport(0.0, 0.0, "CPUExecutionProvider", 1)

    async def compare(
        self, bundle: Bundle, base: Choice, rivals: Sequence[Choice], time_s: float
    ) -> Comparison:
        assert not self.is_comparing, "two at once disturb each other"
        self.is_comparing = True
        await asyncio.sleep(0)
        self.is_comparing = False
        self.compared.append([rival.precision for rival in rivals])
        tried = list(rivals)[: int(time_s / self.takes_s)]
        self.clock.now += self.takes_s * (1 + len(tried))
        if any(rival.precision in self.crashing for rival in rivals):
            raise LoadCrashed(f"{bundle.name} ended the process that examined it (SIGSEGV)")
        trials = [
            Trial(choice, {"batch 1": self.ms[choice.precision]}) for choice in (base, *tried)
        ]
        return Comparison(tuple(trials), len(rivals) - len(tried), self.is_disturbed)


class World:
    def __init__(self, folder: Path, **more: object) -> None:
        self.clock = Clock()
        self.pool = FakePool(self.clock)
        self.folder = folder
        self.selector = self.make(**more)

    def make(self, *variants: str, **more: object) -> Selector:
        """A server's, as it were, which shares the cache with the others."""
        return Selector(
            Wishes.of("onnxruntime", "cpu", variants, ()),
            self.pool,  # type: ignore[arg-type]
            SelectionCache(self.folder),
            hardware=lambda: "machine",
            clock=self.clock,
            **more,  # type: ignore[arg-type]
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "cache")


async def settled(selector: Selector, bundle: Bundle) -> str:
    return (await selector.settle(bundle)).choice.precision


@in_loop
async def test_the_fastest_is_taken_and_remembered(world: World, bundle: Bundle) -> None:
    found = await world.selector.settle(bundle)
    assert found.choice.precision == "int8-dynamic"
    assert found.choice.max_batch_size == 1
    assert found.choice.reason.startswith("5.00 times as fast as onnxruntime fp32")
    assert found.fallback == reference(bundle.manifest)
    assert world.pool.examined == ["fp32", "int8-dynamic"]
    again = await world.make().settle(bundle)
    assert again == found
    assert len(world.pool.compared) == 1
    assert world.pool.examined[2:] == ["int8-dynamic"], "the reference is not opened any more"


@in_loop
async def test_the_same_files_published_again_are_the_same(world: World, bundle: Bundle) -> None:
    await world.selector.settle(bundle)
    later = bundle.manifest.model_copy(update={"created_at": "2027-01-01T00:00:00+00:00"})
    await world.make().settle(Bundle(bundle.path, later))
    assert len(world.pool.compared) == 1


@in_loop
async def test_a_pinned_variant_is_examined_and_nothing_else(world: World, bundle: Bundle) -> None:
    selector = world.make("double=int8-static")
    assert await settled(selector, bundle) == "int8-static"
    assert (world.pool.examined, world.pool.compared) == (["int8-static"], [])
    world.pool.failing = {"int8-static"}
    with pytest.raises(ExamFailed):
        await selector.settle(bundle)


@in_loop
async def test_switched_off_the_graph_stays_as_it_was_exported(
    world: World, bundle: Bundle
) -> None:
    found = await world.make(is_on=False).settle(bundle)
    assert found.choice.what == reference(bundle.manifest)
    assert found.choice.reason == "as it was exported: selection is off"
    assert not world.pool.compared


@in_loop
async def test_a_reference_that_fails_is_refused_before_anything_is_timed(
    world: World, bundle: Bundle
) -> None:
    world.pool.failing = {"fp32"}
    with pytest.raises(ExamFailed):
        await world.selector.settle(bundle)
    assert not world.pool.compared


@in_loop
async def test_one_that_crashes_is_found_and_the_others_are_still_chosen_from(
    world: World, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    world.pool.crashing = {"int8-dynamic"}
    choice = (await world.selector.settle(bundle)).choice
    assert choice.precision == "int8-static"
    assert choice.reason.endswith("onnxruntime int8-dynamic on cpu is out (crash)")
    assert "SIGSEGV" in caplog.text


@in_loop
async def test_when_all_of_them_crash_the_reference_remains(world: World, bundle: Bundle) -> None:
    world.pool.crashing = set(FILES)
    choice = (await world.selector.settle(bundle)).choice
    assert choice.precision == "fp32"
    assert choice.reason.count("is out (crash)") == 3


@in_loop
async def test_a_candidate_that_hangs_costs_no_more_than_the_time(
    world: World, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object, **__: object) -> Comparison:
        world.clock.now += 15.0
        raise LoadTimeout("double/1 did not compare within 15 s")

    monkeypatch.setattr(world.pool, "compare", hang)
    choice = (await world.make().settle(bundle)).choice
    assert choice.reason == "nothing else could be timed; no time was left for 3 more"
    assert world.clock.now == 15.0


@in_loop
async def test_what_is_remembered_and_fails_now_is_forgotten(
    world: World, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    await world.selector.settle(bundle)
    world.pool.failing = {"int8-dynamic"}
    found = await world.make().settle(bundle)
    assert found.choice.what == reference(bundle.manifest)
    assert found.choice.reason == "onnxruntime int8-dynamic on cpu could not be loaded (exam)"
    assert "golden exam" in caplog.text
    await world.make().settle(bundle)
    assert len(world.pool.compared) == 2, "timed anew"


@in_loop
async def test_a_damaged_memory_costs_a_warning_and_the_time(
    world: World, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    await world.selector.settle(bundle)
    [entry] = world.folder.iterdir()
    entry.write_text("{")
    assert await settled(world.make(), bundle) == "int8-dynamic"
    assert "is ignored" in caplog.text
    assert json.loads(entry.read_text())["choice"]["precision"] == "int8-dynamic"


@in_loop
async def test_what_other_work_hid_is_looked_at_again(world: World, bundle: Bundle) -> None:
    world.pool.is_disturbed = True
    world.pool.ms |= {"int8-static": 9.0, "int8-dynamic": 8.0}
    assert await settled(world.make(), bundle) == "fp32"
    world.pool.is_disturbed = False
    assert await settled(world.make(), bundle) == "int8-dynamic"
    assert len(world.pool.compared) == 2


@in_loop
async def test_many_versions_of_one_start_share_the_time(
    world: World, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    """Without memory each would take four seconds; those of a start share three times four."""
    caplog.set_level(logging.ERROR)
    world.folder.write_text("a file: nothing is remembered")
    world.pool.takes_s = 1.0
    selector = world.make(time_s=4.0)
    found = [await selector.settle(bundle, is_starting=True) for _ in range(5)]
    precisions = [each.choice.precision for each in found]
    assert precisions == ["int8-dynamic"] * 3 + ["fp32"] * 2
    assert "used up" in found[-1].choice.reason
    assert world.clock.now == 12.0
    assert await settled(selector, bundle) == "int8-dynamic", "later versions have their own time"


@in_loop
async def test_versions_are_timed_one_after_the_other(world: World, bundle: Bundle) -> None:
    world.folder.write_text("a file: nothing is remembered")
    await asyncio.gather(*(world.selector.settle(bundle) for _ in range(3)))
    assert len(world.pool.compared) == 3


def plan_of(bundle: Bundle, choice: Choice) -> TuningPlan:
    return TuningPlan(
        model=bundle.name,
        version=bundle.version,
        bundle_sha256=bundle_sha256(bundle),
        hardware="machine",
        choice=choice,
        workers=1,
        threads=1,
        max_batch_size=16,
        max_queue_delay_microseconds=500,
        objective="p99_ms=50",
        created_at="2026-01-02T03:04:05+00:00",
    )


@in_loop
async def test_what_was_tuned_is_taken_without_timing(world: World, bundle: Bundle) -> None:
    write_plan(bundle, plan_of(bundle, choice_of(bundle.manifest.variants[0])))
    found = await world.selector.settle(bundle)
    assert found.choice.precision == "int8-static"
    assert found.choice.reason == "tuned on 2026-01-02 for p99_ms=50"
    assert found.plan is not None
    assert not world.pool.compared
    assert await settled(world.make("double=fp32"), bundle) == "fp32", "the operator's word wins"
    world.pool.failing = {"int8-static"}
    fallen = await world.selector.settle(bundle)
    assert fallen == Settled(fallen.choice)
    assert fallen.choice.what == reference(bundle.manifest)


@in_loop
async def test_a_plan_of_another_machine_is_passed_over(world: World, bundle: Bundle) -> None:
    plan = plan_of(bundle, choice_of(bundle.manifest.variants[0]))
    write_plan(bundle, plan.model_copy(update={"hardware": "another"}))
    assert await settled(world.selector, bundle) == "int8-dynamic"
