"""The primary's pool, with what the secondaries need to know of it."""

import contextlib
from collections.abc import Awaitable, Callable

from models.errors import SlipwayError
from service.workers.base import ModelKey
from service.workers.child import Child
from service.workers.pool import ProcessPool


async def _nobody() -> None:
    """There is no secondary to wait for."""


class SharedPool(ProcessPool):
    """`settle` waits until no secondary needs what the registry no longer names."""

    settle: Callable[[], Awaitable[None]] = staticmethod(_nobody)

    def up(self) -> list[Child]:
        """Workers that can be given work, those in quarantine among them."""
        ordinary = [child for child in self._supervisor.children if child is not None]
        return [*ordinary, *self._quarantine.children()]

    def handles(self) -> dict[ModelKey, int]:
        return {key: model.handle for key, model in self._models.items()}

    def confined(self) -> frozenset[int]:
        """Handles of the models in quarantine, whose worker may rest until somebody needs it."""
        return frozenset(m.handle for m in self._models.values() if m.handle in self._quarantine)

    def barred(self) -> frozenset[int]:
        """Handles of the models that are not run any more."""
        handles = (m.handle for m in self._models.values() if m.handle not in self._quarantine)
        return frozenset(handle for handle in handles if self._crashes.is_refused(handle))

    def need(self, key: ModelKey) -> None:
        """A secondary has a request for a model in quarantine."""
        with contextlib.suppress(SlipwayError):  # unloaded or refused meanwhile; it will hear
            self._get(key)

    async def unload(self, key: ModelKey) -> None:
        """Once every secondary has finished its work with the version."""
        await self.settle()
        await super().unload(key)
