"""The operator's numbers win over what was tuned, and that over the bundle's; a choice that nobody named
takes no version out of service."""

from pathlib import Path

import pytest

from models.bundle import Bundle
from models.manifest import Batching
from models.runtimes.base import GraphRefused
from models.runtimes.hardware import fingerprint
from service.lifecycle.loading import Loading, batch_limits, with_overrides
from service.observability.metrics import Metrics
from service.selection.choice import Choice, choice_of, reference
from service.settings import Settings
from service.tuning.plan import write_plan
from service.workers.base import LoadReport
from tests.service.lifecycle.world import Pool
from tests.service.loops import in_loop
from tests.service.selection.bundles import published, quick
from tests.service.selection.test_selector import plan_of


def test_without_overrides_the_bundle_decides() -> None:
    batching = Batching(max_batch_size=7, max_queue_delay_microseconds=100)
    assert with_overrides(batching, Settings()) == batching


def test_the_operators_numbers_win() -> None:
    settings = Settings(max_batch_size=3, max_queue_delay_microseconds=0, max_queue_size=9)
    batching = Batching(max_batch_size=7, max_queue_delay_microseconds=100)
    changed = with_overrides(batching, settings)
    assert changed.max_batch_size == 3
    assert changed.max_queue_delay_microseconds == 0
    assert changed.default_queue_policy.max_queue_size == 9


def test_what_is_run_one_by_one_makes_no_batches_whatever_anybody_says() -> None:
    alone = Choice(precision="int8-dynamic", max_batch_size=1)
    batching = Batching(max_batch_size=8, preferred_batch_size=(4,), allowed_batch_sizes=(2, 8))
    changed = with_overrides(batching, Settings(max_batch_size=16), alone)
    assert changed.max_batch_size == 1
    assert not changed.preferred_batch_size
    assert not changed.allowed_batch_sizes


class ChoosyPool(Pool):
    """Loads what it is said to; `refused`: precisions that the workers cannot open."""

    refused: frozenset[str] = frozenset()

    async def load(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        assert choice is not None
        if choice.precision in self.refused:
            raise GraphRefused(f"{bundle.name}: no room in /srv/models")
        return LoadReport(0.0, 0.0, "CPUExecutionProvider", 1, choice=choice)


@pytest.fixture
def tuned_bundle(tmp_path: Path) -> Bundle:
    """With a plan for this machine: its variant, in batches of 16."""
    bundle = published(tmp_path / "repository", "m", tmp_path, {"int8": quick()})
    plan = plan_of(bundle, choice_of(bundle.manifest.variants[0]))
    write_plan(bundle, plan.model_copy(update={"hardware": fingerprint()}))
    return bundle


@in_loop
async def test_what_was_tuned_is_served_as_it_was_tuned(tuned_bundle: Bundle) -> None:
    loading = Loading(Settings(), ChoosyPool(), Metrics({}))  # type: ignore[arg-type]
    model = loading.new_model(tuned_bundle)
    await loading.examine(model, is_starting=True)
    await loading.load(model)
    assert model.choice is not None
    assert model.choice.precision == "int8"
    assert model.batcher is not None
    limits = model.batcher.limits
    assert (limits.max_batch_size, limits.max_queue_delay_s) == (16, 0.0005)
    await model.batcher.close()


@in_loop
async def test_a_choice_that_the_workers_cannot_open_gives_way_to_the_reference(
    tuned_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    pool = ChoosyPool()
    pool.refused = frozenset({"int8"})
    loading = Loading(Settings(), pool, Metrics({}))  # type: ignore[arg-type]
    model = loading.new_model(tuned_bundle)
    await loading.examine(model, is_starting=True)
    await loading.load(model)
    assert model.choice is not None
    assert model.choice.what == reference(tuned_bundle.manifest)
    assert model.choice.reason == "onnxruntime int8 on cpu could not be loaded (graph)"
    assert "/srv/models" in caplog.text, "the log tells all"
    assert model.batcher is not None
    assert model.batcher.limits.max_batch_size == 8, "what was tuned was tuned for the other"
    await model.batcher.close()


@in_loop
async def test_one_that_was_asked_for_by_name_is_refused_instead(tuned_bundle: Bundle) -> None:
    pool = ChoosyPool()
    pool.refused = frozenset({"int8"})
    settings = Settings(variant=("m=onnxruntime:int8",))
    loading = Loading(settings, pool, Metrics({}))  # type: ignore[arg-type]
    model = loading.new_model(tuned_bundle)
    await loading.examine(model, is_starting=True)
    with pytest.raises(GraphRefused):
        await loading.load(model)


# -- what follows from the choice ------------------------------------------------------------------


@in_loop
async def test_lengths_are_padded_to_steps_where_every_one_is_prepared_anew(
    tuned_bundle: Bundle,
) -> None:
    model = Loading(Settings(), ChoosyPool(), Metrics({})).new_model(tuned_bundle)  # type: ignore[arg-type]
    steps = {
        runtime: batch_limits(model, Settings(), Choice(runtime=runtime)).length_step
        for runtime in ("onnxruntime", "openvino")
    }
    assert steps == {"onnxruntime": 0, "openvino": 16}
    assert batch_limits(model, Settings(), None).length_step == 0


@in_loop
async def test_a_choice_that_is_run_one_by_one_lets_as_many_wait_as_the_bundles_batches(
    tuned_bundle: Bundle,
) -> None:
    """Nobody asked for it: who was let in before must be let in still."""
    model = Loading(Settings(), ChoosyPool(), Metrics({})).new_model(tuned_bundle)  # type: ignore[arg-type]
    model.batching = Batching(max_batch_size=32)
    for choice in (None, Choice(precision="int8-dynamic", max_batch_size=1)):
        limits = batch_limits(model, Settings(), choice)
        assert limits.least_queue_rows == 32 * model.pool.size
    asked = batch_limits(model, Settings(max_batch_size=1), None)
    assert asked.least_queue_rows == 24, "what the operator says is meant"
