"""Random numbers follow from their arguments and are spread as they should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.generation.request import SamplingParams
from service.generation.seeds import choice_seed, philox4x32, uniform

seeds = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    """Known answers of the Random123 library, kat_vectors."""
    assert philox4x32(counter, key) == expected


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    values = np.array([uniform(seed, position) for seed in range(60) for position in range(60)])
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    assert ((counts - 180) ** 2 / 180).sum() < 43.8  # chi-square, 19 degrees, p = 0.001


@given(seeds)
def test_choices_of_one_request_have_different_seeds_that_a_request_may_name(seed: int) -> None:
    found = [choice_seed(seed, index) for index in range(128)]
    assert len(set(found)) == 128
    for each in found:
        SamplingParams(seed=each)


def test_first_choice_has_the_seed_of_the_request() -> None:
    assert [choice_seed(seed, 0) for seed in (-(2**63), -1, 0, 5)] == [-(2**63), -1, 0, 5]


def test_neighbouring_seeds_share_no_choice() -> None:
    found = [choice_seed(seed, index) for seed in range(-500, 500) for index in range(16)]
    assert len(set(found)) == len(found)
