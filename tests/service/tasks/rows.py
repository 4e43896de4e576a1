"""Ask a task for the answer to made-up rows of its graph."""

from collections.abc import Mapping
from typing import Any

from service.tasks.base import BatchTask, Prepared, Row


def concluded(task: BatchTask, row: Row, given: Mapping[str, object], kept: Any = None) -> Any:
    """The answer to one row under the options `given`."""
    options = task.parse_options(given)
    return task.postprocess([row], Prepared.one({}, kept), options)
