"""A generation's events as an async iterator; leaving it early cancels the work in the worker."""

from collections.abc import AsyncIterator

from models.errors import SlipwayError
from service.generation.request import GenerationEvent
from service.workers.connection import Connection


async def stream_events(
    connection: Connection, handle: int, payload: bytes
) -> AsyncIterator[GenerationEvent]:
    """Events until one has a finish reason. Raises WorkerLost when the worker ends before that."""
    ident, events = connection.open_stream(handle, payload)
    is_finished = False
    try:
        while not is_finished:
            item = await events.get()
            if isinstance(item, SlipwayError):
                is_finished = True
                raise item
            is_finished = item.finish_reason is not None
            yield item
    finally:
        connection.close_stream(handle, ident, cancel=not is_finished)
