"""The account of memory: whole pages, never more than there is."""

import pytest

from service.generation.graph import GraphRefused
from service.generation.ledger import KvLedger
from service.generation.limits import EngineLimits
from tests.service.generation.conftest import CONTEXT, TinyModel
from tests.service.generation.test_waiting import row


def test_requests_are_counted_in_whole_pages() -> None:
    ledger = KvLedger(total_bytes=10_000, token_bytes=10, page_tokens=32)
    assert [ledger.bytes_of(tokens) for tokens in (0, 1, 32, 33)] == [0, 320, 320, 640]
    assert ledger.total_tokens == 31 * 32


def test_what_is_reserved_and_released_adds_up() -> None:
    ledger = KvLedger(total_bytes=640, token_bytes=10, page_tokens=32)
    rows = [row(number) for number in range(3)]
    for entry in rows:
        entry.reserved_tokens = 20
    ledger.reserve(rows[0])
    assert ledger.fits(rows[1])
    ledger.reserve(rows[1])
    assert not ledger.fits(rows[2])
    ledger.release(rows[0])
    assert ledger.fits(rows[2])
    ledger.release(rows[1])
    assert ledger.reserved_bytes == 0


def test_without_a_bound_there_is_memory_for_every_slot(tiny: TinyModel) -> None:
    graph = tiny.graph
    ledger = KvLedger.of(graph, EngineLimits(CONTEXT, slots=5))
    per_token = 2 * graph.layers * graph.kv_heads * graph.head_size * 2
    assert ledger.token_bytes == per_token
    assert ledger.total_bytes == 5 * ledger.bytes_of(CONTEXT)


def test_memory_for_less_than_a_page_is_refused_with_numbers(tiny: TinyModel) -> None:
    with pytest.raises(GraphRefused, match="1,000 bytes"):
        KvLedger.of(tiny.graph, EngineLimits(CONTEXT, kv_memory_bytes=1000))
