"""Between a pool and the memory ledger: which models may be opened, and what is known of those that are."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from models.bundle import Bundle
from models.runtimes.base import LoadOutOfMemory
from service.selection.choice import Choice
from service.workers.base import NOTHING, LoadReport, ModelKey
from service.workers.footprint import Footprint
from service.workers.ledger import MemoryLedger, Need, least_bytes
from service.workers.placement import Placed

_PATIENCE_S = 10.0  # what is being loaded or examined meanwhile may give memory back
_PAUSE_S = 0.1


class Admittance:
    """`is_busy`: other models are being loaded or examined."""

    def __init__(self, ledger: MemoryLedger, is_busy: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._is_busy = is_busy
        self._footprints: dict[ModelKey, tuple[Choice, Footprint]] = {}

    async def before_exam(self, key: ModelKey, bundle: Bundle, choice: Choice) -> None:
        """Raises LoadOutOfMemory when not even its files fit."""
        await self._when(lambda: self._ledger.require(key, least_bytes(bundle, choice)))

    def examined(self, key: ModelKey, choice: Choice, found: Footprint) -> None:
        """What it took where it was examined; kept for the next time that it is loaded."""
        self._footprints[key] = choice.what, found

    @asynccontextmanager
    async def loading(self, model: Placed, most_rows: int) -> AsyncIterator[None]:
        """What it may come to take is set aside meanwhile. Raises LoadOutOfMemory, with the numbers."""
        need = Need.of(model.key, self._known(model), model.copies, most_rows)
        await self._when(lambda: self._ledger.check(need))
        with self._ledger.coming(need):
            yield

    def loaded(self, model: Placed, report: LoadReport, most_rows: int) -> None:
        """It is on its workers; the report says so to people."""
        found = replace(report.memory, peaks=self._known(model).peaks)
        self._ledger.loaded(model.key, found, model.copies, most_rows)
        report.details["memory"] = str(self._ledger[model.key])

    def _known(self, model: Placed) -> Footprint:
        choice, found = self._footprints.get(model.key, (None, NOTHING))
        return found if choice == model.choice.what else NOTHING

    async def _when(self, check: Callable[[], None]) -> None:
        """Waits for those that are just being loaded or examined, where that may help."""
        clock = asyncio.get_running_loop().time
        limit = clock() + _PATIENCE_S
        while True:
            try:
                check()
            except LoadOutOfMemory:
                if clock() > limit or not self._is_busy():
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                return
