"""What a long search says while it works: a bar over its targets on a terminal, a line for each elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from training.report import Reporter


class Telling:
    """Made by `telling`."""

    def __init__(self, bar: Progress | None, task: TaskID | None) -> None:
        self._bar, self._task = bar, task

    def doing(self, words: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=words)

    def done_one(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)


@contextmanager
def telling(report: Reporter, total: int) -> Iterator[Telling]:
    """`total`: targets. Without a terminal nothing moves: the table that follows says it all."""
    if not report.is_live:
        yield Telling(None, None)
        return
    columns = (BarColumn(30), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=report.console, transient=True) as bar:
        yield Telling(bar, bar.add_task("measuring the reference", total=total))
