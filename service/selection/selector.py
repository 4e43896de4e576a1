"""Settles how one version is run here: asked for, or the reference; examined before it may serve."""

from collections.abc import Awaitable, Callable
from typing import cast

from models.bundle import Bundle
from service.selection.choice import Choice
from service.selection.wishes import Wishes, wanted
from service.workers.base import LoadReport, WorkerPool

Examine = Callable[[Bundle, Choice], Awaitable[LoadReport]]


class Selector:
    """Belongs to the event loop."""

    def __init__(self, wishes: Wishes, pool: WorkerPool) -> None:
        self._wishes = wishes
        # A pool in this very process has nowhere else to try a version.
        self._examine = cast("Examine | None", getattr(pool, "examine", None))

    async def settle(self, bundle: Bundle) -> Choice:
        """Raises BundleError when the version cannot be opened as asked for or fails its exam, whatever
        it does to the process that tries; VariantMissing."""
        choice = wanted(bundle.manifest, self._wishes.of_model(bundle.name))[0]
        if self._examine is not None:
            await self._examine(bundle, choice)
        return choice
