"""From a repository to a registry: which versions are served, loaded all at once, refused with a reason.

A version that is corrupt, whose gate failed or that fails its exam is left out, said in one line, and the
next older version takes its place.
"""

import asyncio
import logging
import time
from collections.abc import Iterable

from models.bundle import Bundle
from models.catalog import Listing, scan
from models.errors import SlipwayError
from models.manifest import Batching
from service.batcher import batcher_over, limits_of
from service.errors import StartError
from service.meters import SessionInfo
from service.metrics import Metrics
from service.registry import ModelRegistry, ServedModel
from service.settings import Settings
from service.workers.base import ModelKey, WorkerPool

_log = logging.getLogger("slipway.loader")


class Loader:
    """Loads into `registry`; belongs to the event loop."""

    def __init__(
        self, settings: Settings, registry: ModelRegistry, pool: WorkerPool, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._pool = pool
        self._metrics = metrics

    async def load_all(self) -> None:
        """Load what is to be served; the registry stops saying that it is loading.

        Raises StartError when a model that was asked for by name cannot be served, RepositoryMissing.
        """
        settings, registry = self._settings, self._registry
        listing = await asyncio.to_thread(scan, settings.repository)
        for rejected in listing.rejected:
            if not settings.model or rejected.name in settings.model:
                self._refuse(ModelKey(rejected.name, rejected.version), rejected.detail)
        candidates = _by_name(listing.bundles)
        names = settings.model or tuple(candidates)
        self._require_known(settings.model, candidates, listing)
        registry.required = set(names)
        await asyncio.gather(*(self._load_name(candidates.get(name, [])) for name in names))
        missing = [name for name in names if not registry.versions(name)]
        if settings.model and missing:
            raise StartError(f"model {missing[0]!r} cannot be served; the reason is above")
        registry.required -= set(missing)
        registry.is_loading = False
        registry.changed()

    async def _load_name(self, bundles: list[Bundle]) -> None:
        """Newest first, until as many versions are served as wanted."""
        served = 0
        for bundle in bundles:
            if served == self._settings.versions:
                return
            served += await self._load(bundle)

    async def _load(self, bundle: Bundle) -> bool:
        """True when the version is served."""
        key = ModelKey(bundle.name, bundle.version)
        failed = [gate.name for gate in bundle.manifest.gates if not gate.passed]
        if failed and bundle.name not in self._settings.allow_failed_gate:
            reason = f"gate {', '.join(failed)} failed; --allow-failed-gate {bundle.name} serves it"
            self._refuse(key, f"{key}: {reason}")
            return False
        model = ServedModel(bundle, self._pool, self._metrics.model(key))
        self._registry.add(model)
        try:
            await self._prepare(model)
        except SlipwayError as error:
            self._registry.remove(key)
            model.meters.load_failures[error.reason] += 1
            self._refuse(key, error.message)
            return False
        except Exception:  # a defect while loading one model: told in full, the others are served
            _log.exception("model %s could not be loaded", key)
            model.meters.load_failures[SlipwayError.reason] += 1
            self._registry.remove(key)
            self._refuse(key, f"{key}: internal error while loading")
            return False
        self._registry.changed()
        return True

    async def _prepare(self, model: ServedModel) -> None:
        from service.tasks import open_task  # imports what the task needs: Pillow, tokenizers

        began = time.perf_counter()
        key, meters = model.key, model.meters
        load = asyncio.create_task(self._pool.load(model.bundle))
        try:
            model.task = await asyncio.to_thread(open_task, model.bundle)
            model.report = await load
        except asyncio.CancelledError:
            load.cancel()
            raise
        except Exception:  # passed on, once the workers have forgotten the model again
            await asyncio.gather(load, return_exceptions=True)
            await self._pool.unload(key)
            raise
        if model.manifest.runner == "batch":
            batching = with_overrides(model.manifest.batching, self._settings)
            limits = limits_of(batching, self._pool.size)
            batcher = batcher_over(self._pool, key, model.manifest, limits, meters)
            model.batcher = batcher
            meters.pending = lambda: batcher.pending_rows
        meters.is_ready = lambda: model.is_ready
        meters.load_s = time.perf_counter() - began
        active = model.report.provider.removesuffix("ExecutionProvider").lower()
        meters.session = SessionInfo(self._settings.provider, active, model.report.threads)
        model.state = "ready"
        _log.info("%s is ready after %.2f s", key, meters.load_s)

    def _refuse(self, key: ModelKey, reason: str) -> None:
        _log.error("not served: %s", reason)
        self._registry.refuse(key, reason)

    def _require_known(
        self, wanted: Iterable[str], candidates: dict[str, list[Bundle]], listing: Listing
    ) -> None:
        refused = {rejected.name for rejected in listing.rejected}
        for name in wanted:
            if name not in candidates and name not in refused:
                known = ", ".join(sorted(candidates)) or "nothing yet"
                where = self._settings.repository
                raise StartError(f"there is no model {name!r} in {where}; it has: {known}")


async def drain(registry: ModelRegistry) -> None:
    """Finish everything that was accepted by any model."""
    batchers = [model.batcher for model in registry if model.batcher is not None]
    await asyncio.gather(*(batcher.close() for batcher in batchers))


def with_overrides(batching: Batching, settings: Settings) -> Batching:
    """The operator's numbers win over the bundle's."""
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
    return batching.model_copy(update=changes)


def _by_name(bundles: list[Bundle]) -> dict[str, list[Bundle]]:
    """Newest version first."""
    found: dict[str, list[Bundle]] = {}
    for bundle in sorted(bundles, key=lambda bundle: -bundle.version):
        found.setdefault(bundle.name, []).append(bundle)
    return dict(sorted(found.items()))
