"""One version from its folder to "ready": open and verify, gates, exam in a process apart, load, batcher.

Nothing here knows other versions of the model; what is served meanwhile is not touched.
"""

import asyncio
import logging
import time
from pathlib import Path

from models.bundle import Bundle, open_bundle
from models.errors import BundleError
from models.manifest import Batching
from service.batching.batcher import BatchLimits, batcher_over, limits_of
from service.lifecycle.bare import is_bare, open_bare
from service.lifecycle.tasks import open_task_of
from service.observability.meters import SessionInfo
from service.observability.metrics import Metrics
from service.registry import ServedModel
from service.selection.cache import SelectionCache
from service.selection.choice import Choice
from service.selection.selector import Selector, fallback_from
from service.settings import Settings
from service.tuning.plan import TuningPlan
from service.workers.base import LoadReport, ModelKey, WorkerPool

_log = logging.getLogger("slipway.loader")

_LEAST_AT_ONCE = 2
# OpenVINO prepares kernels for every new combination of rows and length, which takes some milliseconds, and
# remembers a thousand. Padded up to steps, texts of all lengths soon meet known ones.
_LENGTH_STEP = 16


class GateFailed(BundleError):
    """Its quality gate failed when it was published, and nobody said that it may serve all the same."""

    reason = "gate"


class Loading:
    """Belongs to the event loop. A few versions at once: a hundred at the start must not all be in memory
    twice."""

    def __init__(self, settings: Settings, pool: WorkerPool, metrics: Metrics) -> None:
        self._settings = settings
        self._pool = pool
        self._metrics = metrics
        self._selector = Selector(
            settings.wishes,
            pool,
            SelectionCache(settings.selection_cache),
            is_on=settings.selection,
            time_s=settings.selection_time_s,
            threads=f"{settings.isolation}, {settings.workers} workers, {settings.threads} cores",
        )
        self._places = asyncio.Semaphore(max(_LEAST_AT_ONCE, pool.size))

    async def open(self, path: Path) -> Bundle:
        """Every checksum is computed, on a thread. Raises BundleError."""
        if await asyncio.to_thread(is_bare, path):
            bundle = await open_bare(path, self._settings)
        else:
            bundle = await asyncio.to_thread(open_bundle, path)
        failed = [gate.name for gate in bundle.manifest.gates if not gate.passed]
        if failed and bundle.name not in self._settings.allow_failed_gate:
            raise GateFailed(
                f"{bundle.name}/{bundle.version}: gate {', '.join(failed)} failed; "
                f"--allow-failed-gate {bundle.name} serves it"
            )
        return bundle

    def new_model(self, bundle: Bundle) -> ServedModel:
        return ServedModel(
            bundle, self._pool, self._metrics.model(ModelKey(bundle.name, bundle.version))
        )

    async def examine(self, model: ServedModel, *, is_starting: bool) -> None:
        """Settle how it is run. Raises BundleError when it cannot be opened or fails its exam, whatever it
        does to the process that tries."""
        async with self._places:
            settled = await self._selector.settle(model.bundle, is_starting=is_starting)
        model.choice, model.fallback = settled.choice, settled.fallback
        model.batching = tuned(model.manifest.batching, settled.plan)

    async def load(self, model: ServedModel) -> None:
        """Examined before; here it is loaded where it will serve, and gets what requests need.

        Raises SlipwayErrors; the workers have forgotten it then.
        """
        async with self._places:
            await self._load(model)

    async def _load(self, model: ServedModel) -> None:
        began = time.perf_counter()
        key, meters = model.key, model.meters
        try:
            if not self._settings.lazy:
                model.task = await open_task_of(model)
            report = model.report = await self._load_choice(model)
        except Exception:  # passed on, once the workers have forgotten the model again
            await self._pool.unload(key)
            raise
        if model.manifest.runner == "batch":
            limits = batch_limits(model, self._settings, report.choice)
            batcher = batcher_over(self._pool, key, model.manifest, limits, meters)
            model.batcher = batcher
            meters.pending = lambda: batcher.pending_rows
        meters.is_ready = lambda: model.can_answer
        meters.load_s = time.perf_counter() - began
        meters.loaded_at_s = time.time()
        meters.session = SessionInfo.of(report)
        model.reason = ""
        model.state = "ready"
        _log.info("%s is ready after %.2f s", key, meters.load_s)
        _log.info("%s: %s: %s", key, report.choice, report.choice.reason or "as it was exported")

    async def _load_choice(self, model: ServedModel) -> LoadReport:
        """Or its fallback: what nobody asked for by name must not take a version out of service."""
        choice, fallback = model.choice, model.fallback
        try:
            return await self._pool.load(model.bundle, choice)
        except BundleError as error:
            if choice is None or fallback is None or fallback.what == choice.what:
                raise
            model.choice = fallback_from(choice, fallback, error)
            _log.warning("%s: %s: %s", model.key, model.choice.reason, error.message)
        model.batching = model.manifest.batching
        return await self._pool.load(model.bundle, model.choice)


def tuned(batching: Batching, plan: TuningPlan | None) -> Batching:
    """A plan's numbers win over the bundle's hints."""
    if plan is None:
        return batching
    return batching.model_copy(
        update={
            "max_batch_size": plan.max_batch_size,
            "max_queue_delay_microseconds": plan.max_queue_delay_microseconds,
            "length_buckets": plan.length_buckets,
        }
    )


def batch_limits(model: ServedModel, settings: Settings, choice: Choice | None) -> BatchLimits:
    """What its batcher obeys when `choice` is what is run."""
    return limits_of(
        with_overrides(model.batching, settings, choice),
        model.pool.size,
        max_queue_wait_s=settings.max_queue_wait_ms / 1e3,
        latency_target_s=settings.latency_target_s(model.key.name),
        # What is run is chosen behind the callers' backs: as many of them are let in as without it.
        full_batch_size=with_overrides(model.batching, settings).max_batch_size,
        length_step=_LENGTH_STEP if choice is not None and choice.runtime == "openvino" else 0,
    )


def with_overrides(
    batching: Batching, settings: Settings, choice: Choice | None = None
) -> Batching:
    """The operator's numbers win over `batching`'s; what a choice needs to be right, over both."""
    changes: dict[str, object] = {}
    if settings.max_batch_size:
        changes["max_batch_size"] = settings.max_batch_size
    if settings.max_queue_delay_microseconds >= 0:
        changes["max_queue_delay_microseconds"] = settings.max_queue_delay_microseconds
    if settings.max_queue_size:
        policy = batching.default_queue_policy
        changes["default_queue_policy"] = policy.model_copy(
            update={"max_queue_size": settings.max_queue_size}
        )
    if choice is not None and choice.max_batch_size:
        most = min(choice.max_batch_size, settings.max_batch_size or batching.max_batch_size)
        changes |= {
            "max_batch_size": most,
            "preferred_batch_size": (),
            "allowed_batch_sizes": (),
        }
    return batching.model_copy(update=changes)
