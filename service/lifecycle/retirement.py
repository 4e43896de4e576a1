"""The end of a version: no new requests, the accepted ones finish, then its memory is given back.

Runs beside everything else: a swap does not wait for the slowest request of the old version. Requests that
hold the version (`ServedModel.begin`) and items in its batcher are waited for, up to a limit that is longer
than any request may take; what is left then fails as if the model had been lost.
"""

import asyncio
import logging

from service.memory import give_back
from service.registry import ModelRegistry, ServedModel
from service.workers.base import ModelKey, WorkerPool

_log = logging.getLogger("slipway.lifecycle")

_TIDY_AFTER_S = 0.2


class Retirement:
    """`limit_s`: longer than any request may take."""

    def __init__(self, registry: ModelRegistry, pool: WorkerPool, limit_s: float) -> None:
        self._registry = registry
        self._pool = pool
        self._limit_s = limit_s
        self._under_way: dict[ModelKey, asyncio.Task[None]] = {}
        self._tidying: asyncio.TimerHandle | None = None

    def begin(self, model: ServedModel) -> "asyncio.Task[None]":
        """Takes the version out of the registry now; the task ends when it is unloaded."""
        self._registry.retire(model)
        task = asyncio.create_task(self._retire(model))
        self._under_way[model.key] = task
        return task

    async def finished(self, key: ModelKey) -> None:
        """Until an earlier life of this version is over; a new one may begin then."""
        task = self._under_way.get(key)
        if task is not None:
            await asyncio.shield(task)

    async def close(self) -> None:
        if self._tidying is not None:
            self._tidying.cancel()
        for task in list(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _retire(self, model: ServedModel) -> None:
        key = model.key
        try:
            try:
                async with asyncio.timeout(self._limit_s):
                    await self._drain(model)
            except TimeoutError:
                _log.warning("%s: requests did not end within %g s", key, self._limit_s)
            await self._pool.unload(key)
        finally:
            # The cells outlive the version: counters only grow. They must not keep it in memory.
            model.meters.pending = lambda: 0
            model.meters.is_ready = lambda: False
            model.batcher = model.task = None
            self._registry.retired(key)
            self._under_way.pop(key, None)
        _log.info("%s is unloaded", key)
        self._tidy_later()

    async def _drain(self, model: ServedModel) -> None:
        await model.unused()
        if model.batcher is not None:
            await model.batcher.close()

    def _tidy_later(self) -> None:
        """Once for all versions that end together."""
        if self._tidying is None:
            loop = asyncio.get_running_loop()
            self._tidying = loop.call_later(_TIDY_AFTER_S, self._tidy)

    def _tidy(self) -> None:
        self._tidying = None
        give_back()
