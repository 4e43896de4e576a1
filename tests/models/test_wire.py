"""Messages are read as protobuf reads them, written back byte for byte, and never believed."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.wire import FileDamaged, encode_bytes, encode_number, fields, numbers
from tests.service.importing.foreign import linear

MODEL = linear().SerializeToString()


def test_what_is_read_adds_up_to_the_message() -> None:
    assert b"".join(field.raw for field in fields(memoryview(MODEL))) == MODEL


@given(st.integers(1, 2**29 - 1), st.binary(max_size=400))
def test_fields_of_bytes_survive(number: int, data: bytes) -> None:
    [field] = fields(memoryview(encode_bytes(number, data)))
    assert (field.number, bytes(field.data)) == (number, data)


@given(st.integers(1, 1000), st.integers(0, 2**64 - 1))
def test_numbers_survive_and_are_signed_as_in_a_shape(number: int, value: int) -> None:
    [field] = fields(memoryview(encode_number(number, value)))
    assert field.value == value
    assert numbers(field) == [value - 2**64 if value >= 2**63 else value]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(FileDamaged):
        assert b"".join(field.raw for field in fields(memoryview(data))) == data


@pytest.mark.parametrize("cut", range(1, len(MODEL), 7))
def test_a_file_that_is_cut_off_is_refused_or_shorter(cut: int) -> None:
    try:
        read = b"".join(field.raw for field in fields(memoryview(MODEL[:cut])))
    except FileDamaged:
        return
    assert read == MODEL[:cut]
