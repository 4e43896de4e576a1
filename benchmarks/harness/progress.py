"""A bar for people. Drawn only between measurements, so that it takes nothing from them."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress


class Progress:
    """One bar over the scenarios, one over the measurements of the current."""

    def __init__(self, scenarios: int, console: Console | None = None) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
            auto_refresh=False,
        )
        self._all = self._bar.add_task("scenarios", total=scenarios)
        self._one = self._bar.add_task("", total=0)
        self._title = ""

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def scenario(self, title: str) -> None:
        self._title = title
        self._bar.reset(self._one, total=0, description=title)
        self._bar.refresh()

    def scenario_done(self) -> None:
        self._bar.advance(self._all)
        self._bar.refresh()

    def expect(self, measurements: int) -> None:
        task = next(task for task in self._bar.tasks if task.id == self._one)
        self._bar.update(self._one, total=(task.total or 0) + measurements)

    def doing(self, what: str) -> None:
        self._bar.update(self._one, description=f"{self._title}: {what}")
        self._bar.refresh()

    def done(self) -> None:
        self._bar.advance(self._one)
