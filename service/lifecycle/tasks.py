"""A model's reading and writing, opened at load or, with lazy loading, by the first request that needs it:
a tokenizer can take more memory than everything else that the front end knows of a model.
"""

import asyncio
from typing import TYPE_CHECKING

from service.registry import ServedModel

if TYPE_CHECKING:
    from service.tasks.base import ServiceTask


async def open_task_of(model: ServedModel) -> "ServiceTask":
    """Reads the tokenizer, the labels …, on a thread. Raises BundleError."""
    from service.tasks import open_task  # imports what the task needs: Pillow, tokenizers

    return await asyncio.to_thread(open_task, model.bundle)
