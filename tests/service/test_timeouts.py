"""How long a request may take."""

import pytest

from service.errors import BadRequest, DeadlineExceeded
from service.timeouts import Timeouts, header_timeout_s


def test_who_says_nothing_gets_the_default() -> None:
    assert header_timeout_s({}) is None
    assert Timeouts(default_s=7.0).seconds(None) == 7.0


def test_milliseconds_of_any_shape_are_taken() -> None:
    assert header_timeout_s({b"x-request-timeout-ms": b"250"}) == 0.25
    assert header_timeout_s({b"x-request-timeout-ms": b"0.5"}) == 0.0005


def test_more_than_the_operator_allows_is_cut() -> None:
    assert Timeouts(default_s=7.0, longest_s=60.0).seconds(3600.0) == 60.0


def test_no_time_left_is_a_deadline_and_nonsense_a_mistake() -> None:
    with pytest.raises(DeadlineExceeded):
        header_timeout_s({b"x-request-timeout-ms": b"0"})
    for given in (b"-1", b"soon", b"nan", b"inf", b"1e30", b""):
        with pytest.raises(BadRequest):
            header_timeout_s({b"x-request-timeout-ms": given})
