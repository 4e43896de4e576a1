"""A body is bounded by what is announced and by what really comes."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive

from service.body import limited
from service.errors import BodyTooLarge
from tests.service.loops import in_loop

LIMIT = 10


def receiver(*parts: bytes, leaves: bool = False) -> Callable[[], Any]:
    messages = [
        {"type": "http.request", "body": part, "more_body": leaves or index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Any:
        return messages.pop(0)

    return receive


async def read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


@pytest.mark.parametrize("parts", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
@in_loop
async def test_a_body_within_the_limit_comes_whole(parts: list[bytes]) -> None:
    assert await read(limited(receiver(*parts), None, LIMIT)) == b"".join(parts)


@pytest.mark.parametrize("parts", [[b"01234567890"], [b"012345", b"67890"]])
@in_loop
async def test_more_bytes_than_allowed_are_refused(parts: list[bytes]) -> None:
    receive = limited(receiver(*parts), None, LIMIT)
    for _ in parts[:-1]:
        await receive()
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        await receive()


@in_loop
async def test_an_announcement_of_too_much_is_believed_before_anything_is_read() -> None:
    with pytest.raises(BodyTooLarge):
        await limited(receiver(), b"11", LIMIT)()


@pytest.mark.parametrize("announced", [b"5", b"-1", b"x", b""])
@in_loop
async def test_an_announcement_of_less_is_not_believed(announced: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        await read(limited(receiver(b"01234567890"), announced, LIMIT))
