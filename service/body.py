"""A request's body, bounded in bytes received; an announced length is believed only when it is too much."""

from starlette.types import Message, Receive

from service.errors import BodyTooLarge


def too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit_bytes} bytes; send less, or in parts")


def limited(receive: Receive, announced: bytes | None, limit_bytes: int) -> Receive:
    """`receive` that raises BodyTooLarge as soon as more than `limit_bytes` have come or are announced."""
    received = 0

    async def limited_receive() -> Message:
        nonlocal received
        if announced is not None and received == 0 and _size(announced) > limit_bytes:
            raise too_large(limit_bytes)
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit_bytes:
            raise too_large(limit_bytes)
        return message

    return limited_receive


def _size(announced: bytes) -> int:
    return int(announced) if announced.isdigit() else 0
