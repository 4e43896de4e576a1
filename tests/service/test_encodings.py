import gzip
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.encodings import accepted, compress, decompress, encoding_of
from service.errors import BodyTooLarge, UnsupportedMedia


@given(body=st.binary(max_size=2000), name=st.sampled_from([b"gzip", b"deflate"]))
def test_what_was_compressed_comes_back(body: bytes, name: bytes) -> None:
    packed = compress(body + b" " * 3000, name)
    if packed is not None:
        assert decompress(packed, name, 10_000) == body + b" " * 3000


def test_noise_is_left_as_it_is() -> None:
    assert compress(random.Random(1).randbytes(100_000), b"gzip") is None


def test_a_bomb_takes_no_more_memory_than_allowed() -> None:
    bomb = gzip.compress(bytes(200 << 20))
    tracemalloc.start()
    with pytest.raises(BodyTooLarge):
        decompress(bomb, b"gzip", 1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert len(decompress(zlib.compress(bytes(1000)), b"deflate", 1000)) == 1000
    with pytest.raises(BodyTooLarge):
        decompress(zlib.compress(bytes(1001)), b"deflate", 1000)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (b"gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip, deflate, br", b"gzip"),
        (b"br;q=1.0, GZIP;q=0.2, deflate;q=0.8", b"deflate"),
        (b"*", b"gzip"),
        (b"gzip;q=0", None),
        (b"gzip;q=x", None),
        (b"br", None),
        (b"identity", None),
        (b"", None),
        (b",,;;=", None),
    ],
)
def test_the_callers_favourite_is_chosen(header: bytes, wanted: bytes | None) -> None:
    assert accepted(header) == wanted


def test_unknown_encodings_are_named() -> None:
    assert encoding_of({}) is None
    assert encoding_of({b"content-encoding": b" Identity "}) is None
    with pytest.raises(UnsupportedMedia, match="'br'"):
        encoding_of({b"content-encoding": b"br"})
