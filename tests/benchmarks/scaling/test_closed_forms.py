"""Closed forms against values that textbooks print."""

import pytest

from benchmarks.scaling.closed_forms import erlang_c, md1_wait_s, mm1_wait_s, mmc_wait_s


def test_one_server_is_the_queue_that_everybody_knows() -> None:
    assert mm1_wait_s(8, 10) == pytest.approx(0.8 / (10 - 8))
    assert md1_wait_s(8, 10) == pytest.approx(mm1_wait_s(8, 10) / 2)


def test_erlang_c_of_one_server_is_its_utilisation() -> None:
    assert erlang_c(7, 10, 1) == pytest.approx(0.7)
    assert mmc_wait_s(7, 10, 1) == pytest.approx(mm1_wait_s(7, 10))


@pytest.mark.parametrize(
    ("load", "servers", "waits"), [(1.0, 2, 1 / 3), (2.0, 3, 4 / 9), (1.5, 2, 9 / 14)]
)
def test_erlang_c_is_what_the_sum_gives(load: float, servers: int, waits: float) -> None:
    assert erlang_c(load, 1.0, servers) == pytest.approx(waits)


def test_a_queue_that_never_settles_is_refused() -> None:
    with pytest.raises(ValueError, match="never settles"):
        mm1_wait_s(10, 10)
