"""A secondary's registry, following the primary's snapshots: the same versions, with batchers of its own.

A version's bundle is opened here as well, for its task (labels, tokenizer); its graph is not. A version
that has gone is taken out first and then drained: once `settled` returns, nothing here runs, or will run,
what the snapshots applied so far do not name.
"""

import asyncio
import logging
from pathlib import Path

from models.bundle import Bundle, open_bundle
from models.errors import SlipwayError
from models.manifest import Batching
from service.batching.batcher import batcher_over
from service.frontends.remote_pool import RemotePool
from service.frontends.snapshot import ModelState, Snapshot
from service.lifecycle.loading import batch_limits
from service.observability.meters import SessionInfo
from service.observability.metrics import Metrics
from service.registry import ModelRegistry, ServedModel
from service.settings import Settings
from service.workers.base import ModelKey

_log = logging.getLogger("slipway.frontends")


class Mirror:
    """Belongs to the event loop."""

    def __init__(
        self, settings: Settings, registry: ModelRegistry, pool: RemotePool, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._pool = pool
        self._metrics = metrics
        self._served: dict[ModelKey, tuple[int, ServedModel]] = {}
        self._drains: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._newest = 0

    async def apply(self, snapshot: Snapshot) -> None:
        """Afterwards the registry is as the primary's was. One snapshot at a time, in order; those that
        a newer one has overtaken are left out."""
        self._newest = max(self._newest, snapshot.number)
        async with self._turn:
            if snapshot.number < self._newest:
                return
            self._pool.hold(snapshot)
            await asyncio.gather(*(self._follow(state) for state in snapshot.models))
            named = {state.key for state in snapshot.models}
            for key in [key for key in self._served if key not in named]:
                _, model = self._served.pop(key)
                self._drain_later(model)
            registry = self._registry
            refused = {ModelKey(name, version) for name, version, _, _ in snapshot.refused}
            for key, _, _ in registry.refusals():
                if key not in refused:
                    registry.forget(key)
            for name, version, why, is_failure in snapshot.refused:
                registry.refuse(ModelKey(name, version), why, is_failure=is_failure)
            registry.required = set(snapshot.required)
            registry.is_loading = snapshot.is_loading
            registry.changed()

    async def settled(self) -> None:
        """Wait until what had to go by now has finished its work."""
        if self._drains:
            await asyncio.wait(set(self._drains))

    async def _follow(self, state: ModelState) -> None:
        handle, model = self._served.get(state.key, (0, None))
        if model is not None and handle == state.handle and model.state == state.state:
            model.reason = state.reason
            return
        try:
            arrived = await self._open(state, None if model is None else model.bundle)
        except (SlipwayError, OSError) as error:
            _log.error("%s is missing at this front end: %s", state.key, error)
            return
        self._served[state.key] = state.handle, arrived
        self._registry.add(arrived)  # takes the place of one with the same number
        if model is not None:
            self._drain_later(model)

    async def _open(self, state: ModelState, known: Bundle | None) -> ServedModel:
        """`known`: the bundle that had this number until now; reused when it still is the same."""
        from service.tasks import open_task  # imports what the task needs: Pillow, tokenizers

        bundle = known
        if bundle is None or bundle.manifest.created_at != state.created_at:
            bundle = await asyncio.to_thread(open_bundle, Path(state.path), verify=False)
        meters = self._metrics.model(state.key)
        model = ServedModel(bundle, self._pool, meters)
        model.state, model.reason, model.report = state.state, state.reason, state.report
        model.choice = None if state.report is None else state.report.choice
        if state.batching:
            model.batching = Batching.model_validate(state.batching)
        if state.state != "ready":
            return model
        model.task = await asyncio.to_thread(open_task, bundle)
        self._pool.know(bundle, state.handle)
        if model.manifest.runner == "batch":
            limits = batch_limits(model, self._settings, model.choice)
            batcher = batcher_over(self._pool, state.key, model.manifest, limits, meters)
            model.batcher = batcher
            meters.pending = lambda: batcher.pending_rows
        meters.is_ready = lambda: model.is_ready
        meters.load_s = state.load_s
        meters.loaded_at_s = state.loaded_at_s
        if (report := state.report) is not None:
            meters.session = SessionInfo.of(report)
        return model

    def _drain_later(self, model: ServedModel) -> None:
        self._registry.retire(model)
        task = asyncio.create_task(self._drain(model))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def _drain(self, model: ServedModel) -> None:
        await model.unused()
        if model.batcher is not None:
            await model.batcher.close()
        self._registry.retired(model.key)
        if model.key not in self._served:
            self._pool.forget(model.key)
