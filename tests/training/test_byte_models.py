"""The baselines are the ones their definitions say."""

import gzip
import math

import numpy as np
import pytest

from training.byte_models import ByteModel, compressors_bits_per_byte


def witten_bell(training: list[bytes], context: bytes, byte: int, order: int) -> float:
    """The textbook recursion, one probability at a time."""
    if order < 0:
        return 1 / 256
    lower = witten_bell(training, context, byte, order - 1)
    wanted = context[len(context) - order :]
    followers = [
        text[place]
        for document in training
        for text in [b"\0" * order + document]
        for place in range(order, len(text))
        if text[place - order : place] == wanted
    ]
    if not followers:
        return lower
    kinds = len(set(followers))
    return (followers.count(byte) + kinds * lower) / (len(followers) + kinds)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_byte_model_equals_the_textbook_recursion(order: int) -> None:
    training = [b"abracadabra", b"cabbage", b""]
    document = b"abacus cab"
    bits = ByteModel(training, order).bits(document)
    for place, byte in enumerate(document):
        context = (b"\0" * order + document)[place : place + order]
        expected = -math.log2(witten_bell(training, context, byte, order))
        assert bits[place] == pytest.approx(expected)


def test_byte_model_is_a_distribution() -> None:
    model = ByteModel([b"to be or not to be"], 2)
    total = sum(2 ** -model.bits(b"to" + bytes([byte]))[-1] for byte in range(256))
    assert total == pytest.approx(1.0)


def test_longer_contexts_help_on_text_that_repeats() -> None:
    text = b"the quick brown fox jumps over the lazy dog. " * 50
    costs = [ByteModel([text], order).bits(text).mean() for order in range(4)]
    assert costs == sorted(costs, reverse=True)


def test_compressors_count_their_own_bytes() -> None:
    text = b"spam and eggs " * 100
    paid = compressors_bits_per_byte(text)
    assert paid["gzip"] == 8 * len(gzip.compress(text, 9)) / len(text)
    assert set(paid) == {"gzip", "bz2", "lzma"}
    assert all(0 < bits < 8 for bits in paid.values())


def test_bytes_never_seen_still_have_a_price() -> None:
    assert np.isfinite(ByteModel([b"aaaa"], 3).bits(bytes(range(256)))).all()
