"""Trace context as W3C's recommendation words it."""

import re

import pytest

from service.observability.trace_context import by_chance, child_of, new_trace

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{PARENT}-01".encode()


def test_a_callers_trace_goes_on_with_a_span_of_our_own() -> None:
    trace = child_of(GOOD)
    assert trace is not None
    assert (trace.trace_id, trace.parent_id, trace.is_sampled) == (TRACE, PARENT, True)
    assert trace.span_id != PARENT
    assert re.fullmatch(rb"00-" + TRACE.encode() + rb"-[0-9a-f]{16}-01", trace.header)


@pytest.mark.parametrize(
    ("header", "is_sampled"),
    [
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-03", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", True),
    ],
)
def test_flags_and_later_versions_are_read(header: str, is_sampled: bool) -> None:
    trace = child_of(header.encode())
    assert trace is not None
    assert trace.is_sampled is is_sampled


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01.more",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00_{TRACE}_{PARENT}_01",
    ],
)
def test_what_is_no_trace_context_is_not_taken_for_one(header: str) -> None:
    assert child_of(header.encode()) is None


def test_new_traces_have_ids_of_their_own() -> None:
    first, second = new_trace(is_sampled=True), new_trace(is_sampled=False)
    assert child_of(first.header) is not None
    assert first.trace_id != second.trace_id
    assert (first.header[-2:], second.header[-2:]) == (b"01", b"00")
    assert first.parent_id == ""


def test_chance_keeps_its_ends() -> None:
    assert all(by_chance(1.0) for _ in range(100))
    assert not any(by_chance(0.0) for _ in range(100))
