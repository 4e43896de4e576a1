"""What the headers of an infer request say, and what they must not."""

import pytest

from service.errors import BadRequest, RequestError, UnsupportedMedia
from service.inference import Answer, read_headers


def test_usual_headers() -> None:
    asked = read_headers({})
    assert (asked.header_bytes, asked.timeout_s, asked.encoding) == (None, None, None)
    asked = read_headers(
        {
            b"content-type": b"application/octet-stream",
            b"inference-header-content-length": b"120",
            b"x-request-timeout-ms": b"250",
            b"accept-encoding": b"gzip",
        }
    )
    assert (asked.header_bytes, asked.timeout_s, asked.encoding) == (120, 0.25, b"gzip")
    kind = {b"content-type": b"Application/JSON; charset=UTF-8"}
    assert read_headers(kind).header_bytes is None


REFUSED: list[tuple[bytes, bytes, type[RequestError]]] = [
    *(
        (b"inference-header-content-length", value, BadRequest)
        for value in (b"-1", b"1e3", b" 5 ", b"+5", b"0x5", b"", b"5, 5", b"9" * 20, "٥".encode())
    ),
    *(
        (b"x-request-timeout-ms", value, BadRequest)
        for value in (b"-5", b"soon", b"1e99", b"nan", b"inf", b"5, 5")
    ),
    (b"content-type", b"image/png", UnsupportedMedia),
    (b"content-type", b"text/plain", UnsupportedMedia),
    (b"content-type", b"application/json; charset=latin-1", UnsupportedMedia),
    (b"content-encoding", b"br", UnsupportedMedia),
    (b"content-encoding", b"gzip", UnsupportedMedia),
]


@pytest.mark.parametrize(("name", "value", "error"), REFUSED)
def test_what_cannot_be_meant_is_refused(
    name: bytes, value: bytes, error: type[RequestError]
) -> None:
    with pytest.raises(error):
        read_headers({name: value})


def test_an_answer_names_its_form() -> None:
    assert Answer(b"{}").headers() == [(b"content-type", b"application/json")]
    headers = dict(Answer(b"{}abc", 2, b"gzip").headers())
    assert headers[b"content-type"] == b"application/octet-stream"
    assert headers[b"inference-header-content-length"] == b"2"
    assert headers[b"content-encoding"] == b"gzip"
    assert headers[b"vary"] == b"accept-encoding"
