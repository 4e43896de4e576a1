"""Lazy models: checked and listed, loaded by the first request, which waits instead of being refused.

However many requests come at once, the model is loaded once. One that fails to load is not tried again for
a few seconds, so that a flood of requests is no flood of loads.
"""

import asyncio
import logging
from typing import Any

from models.errors import SlipwayError
from service.errors import DeadlineExceeded, NotReady, QueueFull
from service.lifecycle.loading import Loading
from service.lifecycle.turns import Turns
from service.registry import ModelRegistry, ServedModel
from service.workers.base import ModelKey

_log = logging.getLogger("slipway.lifecycle")

_MOST_WAITING = 1000  # requests; each holds its body
_RETRY_S = 5.0


class Waking:
    """Belongs to the event loop."""

    def __init__(self, registry: ModelRegistry, loading: Loading, turns: Turns) -> None:
        self._registry = registry
        self._loading = loading
        self._turns = turns
        self._under_way: dict[ModelKey, asyncio.Task[None]] = {}
        self._waiting: dict[ModelKey, int] = {}
        self._not_before: dict[ModelKey, float] = {}

    def lay_down(self, model: ServedModel) -> None:
        """It was examined: from now on it counts as able to answer."""
        model.state = "idle"
        model.meters.is_ready = lambda: model.can_answer

    async def wake(self, key: ModelKey, deadline: float | None = None) -> None:
        """Raises NotReady, QueueFull, or DeadlineExceeded at `deadline` (loop seconds)."""
        waiting = self._waiting.get(key, 0)
        if waiting >= _MOST_WAITING:
            raise QueueFull(f"{waiting} requests wait for {key} to be loaded; try again later")
        self._waiting[key] = waiting + 1
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.shield(self._task(key))
        except TimeoutError:
            raise DeadlineExceeded(f"{key} was not loaded within the request's time") from None
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    async def load_now(self, model: ServedModel) -> None:
        """For whoever has the turn of this model. Raises what loading raises."""
        await self._loading.load(model)
        self._registry.changed()

    async def close(self) -> None:
        for task in list(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _task(self, key: ModelKey) -> "asyncio.Task[None]":
        task = self._under_way.get(key)
        if task is None:
            now = asyncio.get_running_loop().time()
            pause_s = self._not_before.get(key, now) - now
            model = self._registry.find(*key)
            if pause_s > 0 and model is not None:
                raise NotReady(f"model {key} could not be loaded: {model.reason}", pause_s)
            task = self._under_way[key] = asyncio.create_task(self._wake(key))
            task.add_done_callback(retrieved)
        return task

    async def _wake(self, key: ModelKey) -> None:
        try:
            async with self._turns.of(key.name):
                model = self._registry.find(*key)
                if model is None or model.state != "idle":
                    return  # meanwhile taken away or loaded; whoever waits looks again
                await self._try(model)
        finally:
            self._under_way.pop(key, None)

    async def _try(self, model: ServedModel) -> None:
        key = model.key
        try:
            await self.load_now(model)
        except SlipwayError as error:
            self._failed(model, error)
            raise NotReady(f"model {key} could not be loaded: {error.public}", _RETRY_S) from error
        except Exception as error:  # a defect of ours; requests are told
            _log.exception("model %s could not be loaded", key)
            self._failed(model, SlipwayError("internal error while loading"))
            raise NotReady(f"model {key} could not be loaded", _RETRY_S) from error
        self._not_before.pop(key, None)

    def _failed(self, model: ServedModel, error: SlipwayError) -> None:
        _log.error("%s could not be loaded: %s", model.key, error.message)
        model.meters.load_failures[error.reason] += 1
        model.reason = error.public
        self._not_before[model.key] = asyncio.get_running_loop().time() + _RETRY_S


def retrieved(task: "asyncio.Task[Any]") -> None:
    """Everybody who waited may have left; an error that nobody asks for is no warning."""
    if not task.cancelled():
        task.exception()
