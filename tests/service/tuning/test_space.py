from dataclasses import replace
from pathlib import Path

import pytest

from service.tuning.space import (
    AXES,
    Shape,
    batch_sizes,
    fitted,
    length_buckets,
    precision,
    shapes,
    space_of,
)
from tests.service.bundles import digits_bundle
from tests.service.tuning.settings import ALONE, BF16, FP32, INT8, setting, space


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 6, 8, 48])
def test_every_shape_uses_all_cores_but_the_single_thread(cores: int) -> None:
    found = shapes(cores)
    assert found[0] == Shape(cores, 1)
    assert {s.workers * s.threads for s in found} == {cores, 1}
    assert len(set(found)) == len(found)
    assert Shape(1, cores) in found


@pytest.mark.parametrize(
    ("most", "sizes"), [(1, (1,)), (2, (1, 2)), (4, (1, 4)), (16, (1, 4, 16)), (64, (1, 4, 16, 64))]
)
def test_batch_sizes_go_down_by_quarters_to_one(most: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(most) == sizes


def test_lengths_are_searched_only_where_items_differ() -> None:
    assert length_buckets(()) == ((),)
    assert length_buckets([20, 20]) == ((),)
    assert length_buckets([5, 60]) == ((), (16, 32, 48, 60))
    assert length_buckets([3, 9]) == ((), (16,))


def test_the_search_begins_where_a_server_does_that_was_told_nothing(tmp_path: Path) -> None:
    manifest = digits_bundle(tmp_path / "repository").manifest
    found = space_of(manifest, [FP32, BF16], 2.0)
    assert found.start == setting(FP32, (2, 1), 4)
    assert found.batch_sizes == (1, 4)
    assert found.delays_us == (0, 1000, 4000)
    assert found.size == 2 * 3 * 2 * 3


def test_no_delay_takes_more_than_a_quarter_of_the_limit(tmp_path: Path) -> None:
    manifest = digits_bundle(tmp_path / "repository").manifest
    assert space_of(manifest, [FP32], 2.0, limit_ms=5).delays_us == (0, 1000)
    assert space_of(manifest, [FP32], 2.0, limit_ms=0.5).delays_us == (0,)


@pytest.mark.parametrize("axis", [*AXES, "choice"])
def test_neighbours_differ_along_one_axis_and_come_once(axis: str) -> None:
    centre = setting()
    near = list(space().neighbours(centre, axis))  # type: ignore[arg-type]
    assert near
    assert centre not in near
    assert len(set(near)) == len(near)
    member = {
        "choice": "choice",
        "shape": "shape",
        "batch": "max_batch_size",
        "delay": "max_queue_delay_microseconds",
        "lengths": "length_buckets",
    }[axis]
    if axis != "batch":  # a batch of one drops what cannot matter to it
        assert all(replace(one, **{member: getattr(centre, member)}) == centre for one in near)


def test_a_choice_that_runs_alone_has_no_batches_to_try() -> None:
    alone = fitted(setting(ALONE, delay_us=1000))
    assert (alone.max_batch_size, alone.max_queue_delay_microseconds) == (1, 0)
    for axis in ("batch", "delay", "lengths"):
        assert list(space((ALONE,)).neighbours(alone, axis)) == []  # type: ignore[arg-type]


def test_labels_say_what_sets_a_setting_apart() -> None:
    assert setting(BF16, (1, 2), 8, 1000).label == "openvino bf16, 1×2, batch 8, delay 1 ms"
    assert precision(INT8) == "int8-static"
    assert precision(replace(FP32, compute="bf16")) == "fp32 as bf16"
