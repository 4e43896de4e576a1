import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadJson
from service.strict_json import check_depth, check_keys, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=40,
)


@given(document=VALUES)
def test_sound_documents_are_read_as_they_are(document: object) -> None:
    assert loads(orjson.dumps(document)) == document


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "b": 2, "a": 3}}]',
        b'{"a": 1, "\\u0061": 2}',
        b'{"k": ":", "a": 1, "a": ":"}',
        b'{"a": "\\":", "a": ""}',
    ],
)
def test_a_key_that_is_there_twice_is_refused_wherever_it_hides(body: bytes) -> None:
    with pytest.raises(BadJson, match="twice"):
        loads(body)


def test_colons_in_strings_are_no_members() -> None:
    assert loads(b'{"a": "b:c", "d:e": ["::\\"::"]}') == {"a": "b:c", "d:e": ['::"::']}


@pytest.mark.parametrize("pair", [b"[]", b"{}"])
def test_depth_is_counted_to_64(pair: bytes) -> None:
    opened, closed = (b"[", b"]") if pair == b"[]" else (b'{"a":', b"}")
    check_depth(opened * 64 + b"1" + closed * 64)
    for levels in (65, 1000, 250_000):
        with pytest.raises(BadJson, match="64 levels"):
            check_depth(opened * levels + b"1" + closed * levels)


def test_brackets_in_strings_neither_count_nor_hide_any() -> None:
    check_depth(b'["' + b"[" * 500 + b'"]')
    check_depth(b'["\\"' + b"[" * 500 + b'"]')
    with pytest.raises(BadJson):
        check_depth(b'["' + b"]" * 500 + b'",' + b"[" * 70 + b"]" * 70 + b"]")


def test_many_brackets_side_by_side_are_not_deep() -> None:
    check_depth(b"[" + b"[1],[2]," * 10_000 + b"[3]]")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"]]]]", b"NaN", b'{"a": Infinity}', b"\xff", b'"\xed"']
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        loads(body)


@pytest.mark.parametrize(
    "body",
    [b'"' * 999, b"\\" * 999 + b'"', b"]" * 999, b'{"a' * 999, b"[" * 65 + b'"' + b'\\"' * 500_000],
)
def test_broken_text_is_refused_in_time_that_grows_with_its_length(body: bytes) -> None:
    with pytest.raises(BadJson):
        loads(body)


def test_lists_of_numbers_are_passed_over() -> None:
    document = {"inputs": [{"data": [1.0] * 100_000}]}
    check_keys(orjson.dumps(document), document)
