"""Addresses and raw requests."""

import pytest

from models.errors import UsageError
from service.bench.target import Target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:81", ("h", 81, False, "", "http://h:81")),
        ("https://h/", ("h", 443, True, "", "https://h:443")),
        ("http://h/v1/", ("h", 80, False, "", "http://h:80")),
        ("http://h/a/v1", ("h", 80, False, "/a", "http://h:80/a")),
        ("http://[::1]:5", ("::1", 5, False, "", "http://[::1]:5")),
    ],
)
def test_addresses_are_taken_apart(url: str, expected: tuple[object, ...]) -> None:
    found = Target.of(url, {})
    assert (found.host, found.port, found.is_tls, found.prefix, found.url) == expected
    assert (found.tls is not None) is found.is_tls


@pytest.mark.parametrize("url", ["h:80", "ftp://h", "http://", "http://h:x", "http://[oops"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="http://HOST:PORT"):
        Target.of(url, {})


def test_a_request_is_whole() -> None:
    message = Target.of("http://h:81/a", {"authorization": "Bearer k"}).post("/v1/x", b"{}")
    head, _, body = message.partition(b"\r\n\r\n")
    assert body == b"{}"
    assert head.split(b"\r\n") == [
        b"POST /a/v1/x HTTP/1.1",
        b"host: h:81",
        b"content-type: application/json",
        b"authorization: Bearer k",
        b"content-length: 2",
    ]
