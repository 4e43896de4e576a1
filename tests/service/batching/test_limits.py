"""From a manifest's hints to what the batcher obeys."""

import pytest
from pydantic import ValidationError

from models.manifest import Batching, QueuePolicy
from service.batching.limits import limits_of


def test_the_queue_and_the_instances_follow_the_workers() -> None:
    limits = limits_of(Batching(max_batch_size=128, instance_group=3), workers=2)
    assert (limits.max_batch_size, limits.concurrency) == (128, 2)
    assert limits.least_queue_rows == 128 * 2
    assert limits_of(Batching(instance_group=1), workers=4).concurrency == 1


def test_sizes_beyond_the_limit_are_not_used() -> None:
    limits = limits_of(
        Batching(max_batch_size=10, preferred_batch_size=(16, 4), allowed_batch_sizes=(8, 2, 16)), 1
    )
    assert limits.preferred_batch_size == (4,)
    assert limits.allowed_batch_sizes == (2, 8)
    assert limits.max_batch_size == 8, "there is nothing to fill a batch of nine up to"


def test_a_graph_of_one_size_keeps_it_whatever_the_limit() -> None:
    limits = limits_of(Batching(max_batch_size=4, allowed_batch_sizes=(8,)), 1)
    assert (limits.max_batch_size, limits.allowed_batch_sizes) == (8, (8,))


@pytest.mark.parametrize(
    ("levels", "given", "expected"), [(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 0, 2), (5, 4, 4)]
)
def test_who_names_no_priority_has_the_middle_one(levels: int, given: int, expected: int) -> None:
    batching = Batching(priority_levels=levels, default_priority_level=given)
    assert limits_of(batching, 1).default_priority_level == expected


def test_the_queue_policy_is_taken_over() -> None:
    policy = QueuePolicy(
        max_queue_size=7,
        default_timeout_microseconds=250_000,
        timeout_action="DELAY",
        allow_timeout_override=True,
    )
    limits = limits_of(Batching(default_queue_policy=policy), 1)
    assert (limits.max_queue_rows, limits.least_queue_rows) == (7, 7)
    assert limits.queue_timeout_s == 0.25
    assert limits.delays_late
    assert limits.allow_timeout_override


def test_named_sizes_or_a_delay_are_obeyed_instead_of_what_is_learned() -> None:
    assert limits_of(Batching(max_batch_size=8), 1).learns_cost
    for said in (
        {"max_queue_delay_microseconds": 100},
        {"preferred_batch_size": (4,)},
        {"allowed_batch_sizes": (8,)},
    ):
        assert not limits_of(Batching.model_validate({"max_batch_size": 8, **said}), 1).learns_cost


@pytest.mark.parametrize(
    "wrong",
    [
        {"preferred_batch_size": (0,)},
        {"allowed_batch_sizes": (-1, 2)},
        {"priority_levels": 2, "default_priority_level": 3},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Batching.model_validate(wrong)
