"""What event streams and errors mean, however the network cuts them."""

import json

import pytest

from service.bench.answers import ErrorReader, StreamReader, WholeReader
from service.bench.exchange import Exchange
from tests.service.bench.fake_server import DONE, chunk, counted


def _read(*parts: tuple[bytes, float]) -> Exchange:
    exchange = Exchange(0.0)
    reader = StreamReader(exchange)
    for part, now in parts:
        reader.feed(part, now)
    reader.end()
    return exchange


def test_each_event_with_text_is_a_moment_and_the_usage_counts() -> None:
    exchange = _read(
        (chunk("a"), 1.0), (chunk("") + chunk("b"), 2.0), (counted(7, 3, 2) + DONE, 3.0)
    )
    assert exchange.token_s == [1.0, 2.0]
    assert (exchange.prompt_tokens, exchange.output_tokens, exchange.cached_tokens) == (7, 3, 2)
    assert exchange.tokens_per_event == 1.5
    assert exchange.error == ""


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_a_stream_cut_anywhere_reads_the_same(size: int) -> None:
    whole = chunk("é", usage=None) + b": a comment\n\n" + chunk("b") + counted(1, 2) + DONE
    parts = [(whole[at : at + size], float(at)) for at in range(0, len(whole), size)]
    exchange = _read(*parts)
    assert len(exchange.token_s) == 2
    assert exchange.output_tokens == 2
    assert exchange.error == ""


def test_chats_count_contents_and_calls_but_not_the_opening() -> None:
    deltas: list[dict[str, object]] = [
        {"role": "assistant", "content": ""},
        {"content": "hi"},
        {"tool_calls": [{"index": 0}]},
    ]
    events = [{"choices": [{"delta": delta}]} for delta in deltas]
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events)
    assert _read((data, 1.0), (DONE, 2.0)).token_s == [1.0, 1.0]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'data: {"error": {"message": "m", "code": "deadline"}}\n\n' + DONE, "stream deadline"),
        (b'data: {"error": "m"}\n\n' + DONE, "stream"),
        (chunk("a"), "stream cut off"),
        (b"data: {oops\n\n" + DONE, "stream is not JSON"),
        (b"data: 3\n\n" + DONE, "stream is not JSON"),
    ],
)
def test_what_goes_wrong_in_a_stream_has_a_name(data: bytes, error: str) -> None:
    assert _read((data, 1.0)).error == error


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error": {"code": "queue_full"}}', "503 queue_full"),
        (b'{"error": {"type": "overloaded"}}', "503 overloaded"),
        (b'{"error": "no"}', "503"),
        (b"<html>", "503"),
        (b"[]", "503"),
    ],
)
def test_a_refusal_is_its_status_and_code(body: bytes, error: str) -> None:
    exchange = Exchange(0.0, status=503)
    reader = ErrorReader(exchange)
    reader.feed(body[:5], 0.0)
    reader.feed(body[5:], 0.0)
    reader.end()
    assert exchange.error == error


def test_a_whole_answer_leaves_the_exchange_alone() -> None:
    reader = WholeReader()
    reader.feed(b"anything", 1.0)
    reader.end()
