"""A body is bounded by what is announced and by what really comes."""

from collections.abc import Callable
from typing import Any

import pytest

from service.body import limited, read
from service.errors import BodyTooLarge, Cancelled
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


@pytest.mark.parametrize("parts", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
@in_loop
async def test_a_body_within_the_limit_comes_whole(parts: list[bytes]) -> None:
    assert await read(receiver(*parts), None, LIMIT) == b"".join(parts)


@pytest.mark.parametrize("parts", [[b"01234567890"], [b"012345", b"67890"]])
@in_loop
async def test_more_bytes_than_allowed_are_refused(parts: list[bytes]) -> None:
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        await read(receiver(*parts), None, LIMIT)
    receive = limited(receiver(*parts), None, LIMIT)
    for _ in parts[:-1]:
        await receive()
    with pytest.raises(BodyTooLarge):
        await receive()


@in_loop
async def test_an_announcement_of_too_much_is_believed_before_anything_is_read() -> None:
    with pytest.raises(BodyTooLarge):
        await read(receiver(), b"11", LIMIT)
    with pytest.raises(BodyTooLarge):
        await limited(receiver(), b"11", LIMIT)()


@pytest.mark.parametrize("announced", [b"5", b"-1", b"x", b""])
@in_loop
async def test_an_announcement_of_less_is_not_believed(announced: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        await read(receiver(b"01234567890"), announced, LIMIT)


@in_loop
async def test_a_caller_that_leaves_half_way_is_noticed() -> None:
    with pytest.raises(Cancelled):
        await read(receiver(b"0123", leaves=True), None, LIMIT)
