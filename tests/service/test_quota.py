"""A caller's share of what is under way."""

import pytest

from service.errors import QuotaExceeded
from service.quota import CallerQuota

ANN, BOB = {b"x-api-key": b"ann"}, {b"x-api-key": b"bob"}


def test_one_caller_is_refused_and_the_others_are_served() -> None:
    quota = CallerQuota(b"x-api-key", 2)
    first = quota.enter(ANN)
    quota.enter(ANN)
    with pytest.raises(QuotaExceeded) as refused:
        quota.enter(ANN)
    assert refused.value.status == 429
    assert refused.value.retry_after_s is not None
    quota.enter(BOB)
    quota.enter({})
    quota.leave(first)
    quota.enter(ANN)


def test_callers_are_told_apart_also_without_a_limit() -> None:
    quota = CallerQuota(b"x-api-key")
    places = [quota.enter(ANN) for _ in range(1000)]
    assert len({place.caller for place in places}) == 1
    assert quota.enter(BOB).caller != places[0].caller


def test_only_callers_with_work_under_way_take_memory() -> None:
    quota = CallerQuota(b"x-api-key", 1)
    for number in range(1000):
        quota.leave(quota.enter({b"x-api-key": b"%d" % number}))
    assert len(quota) == 0


def test_names_are_not_kept() -> None:
    quota = CallerQuota(b"x-api-key", 1)
    quota.enter({b"x-api-key": b"a-secret-of-ann"})
    assert b"a-secret-of-ann" not in repr(vars(quota)).encode()


def test_the_hint_follows_how_long_requests_take() -> None:
    now = 0.0
    quota = CallerQuota(b"x-api-key", 1, clock=lambda: now)
    for _ in range(60):
        place = quota.enter(ANN)
        now += 8.0
        quota.leave(place)
    quota.enter(ANN)
    with pytest.raises(QuotaExceeded) as refused:
        quota.enter(ANN)
    assert refused.value.retry_after_s is not None
    assert 7.5 <= refused.value.retry_after_s <= 10.0


def test_front_ends_share_it_and_no_header_means_no_callers() -> None:
    quota = CallerQuota.of("X-API-Key", 3, front_ends=2)
    assert quota is not None
    quota.enter(ANN)
    quota.enter(ANN)
    with pytest.raises(QuotaExceeded):
        quota.enter(ANN)
    assert CallerQuota.of("", 3, 1) is None
