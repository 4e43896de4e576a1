"""Shared memory: what one end writes the other reads, it grows, and it cannot be pulled away."""

import mmap
import os
from collections.abc import Callable

import numpy as np
import pytest

from models.datatypes import BY_ONNX, BY_V2, DataType
from service.workers.arena import Arena, ArenaError
from service.workers.tensors import TensorReader, TensorWriter, read_tensors, write_tensors


@pytest.fixture
def ends() -> tuple[Arena, Arena]:
    """The writer's and the reader's view of one memory."""
    writer = Arena.create("test")
    return writer, Arena(os.dup(writer.descriptor))


def there_and_back(
    ends: tuple[Arena, Arena], arrays: list[np.ndarray], types: list[DataType]
) -> list[np.ndarray]:
    writer, reader = ends
    records = write_tensors(arrays, [BY_ONNX[kind.value] for kind in types], writer)
    return read_tensors(memoryview(records), reader)


@pytest.mark.parametrize("info", BY_V2.values(), ids=list(BY_V2))
def test_every_element_type_crosses(info: object, ends: tuple[Arena, Arena]) -> None:
    kind = info.onnx  # type: ignore[attr-defined]
    values = ["a", "", "日本"] if kind is DataType.STRING else [0, 1, 1]
    array = np.array([values], BY_ONNX[kind.value].numpy)
    [answer] = there_and_back(ends, [array], [kind])
    assert answer.dtype == array.dtype
    assert answer.tolist() == array.tolist()


def test_several_tensors_of_odd_sizes_cross_together(ends: tuple[Arena, Arena]) -> None:
    arrays = [np.arange(7, dtype=np.uint8), np.ones((2, 0, 3)), np.array(4.5), np.arange(9)[::2]]
    types = [DataType.UINT8, DataType.DOUBLE, DataType.DOUBLE, DataType.INT64]
    answers = there_and_back(ends, arrays, types)
    assert [a.tolist() for a in answers] == [a.tolist() for a in arrays]
    assert [a.shape for a in answers] == [a.shape for a in arrays]


def test_the_arena_grows_and_earlier_views_stay_valid(ends: tuple[Arena, Arena]) -> None:
    [small] = there_and_back(ends, [np.arange(10)], [DataType.INT64])
    large = np.arange(1_000_000)
    [answer] = there_and_back(ends, [large], [DataType.INT64])
    assert (answer == large).all()
    assert small.tolist() == list(range(10))


def test_the_other_side_cannot_pull_the_memory_away(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    writer.writable(100_000)
    with pytest.raises(PermissionError):
        os.ftruncate(reader.descriptor, 0)


@pytest.mark.parametrize("cut", [1, 8, 17, 25])
def test_a_cut_record_is_refused(cut: int, ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    records = write_tensors([np.arange(4)], [BY_ONNX["INT64"]], writer)
    with pytest.raises(ArenaError):
        read_tensors(memoryview(records)[:cut], reader)


@pytest.mark.parametrize(
    ("position", "value"),
    [(8, 1 << 40), (16, 1 << 40), (24, -4), (24, 1 << 50), (0, 0)],
    ids=["offset", "size", "negative", "huge", "another type"],
)
def test_records_that_point_outside_are_refused(
    position: int, value: int, ends: tuple[Arena, Arena]
) -> None:
    writer, reader = ends
    records = bytearray(write_tensors([np.arange(4)], [BY_ONNX["INT64"]], writer))
    if position == 0:
        records[0] = value
    else:
        records[position : position + 8] = value.to_bytes(8, "little", signed=True)
    with pytest.raises(ArenaError):
        read_tensors(memoryview(records), reader)


def test_broken_strings_are_refused(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    array = np.array(["abc", "d"], object)
    records = write_tensors([array], [BY_ONNX["STRING"]], writer)
    writer.writable(16)[0:4] = (200).to_bytes(4, "little")
    with pytest.raises(ArenaError):
        read_tensors(memoryview(records), reader)


@pytest.fixture
def remembering(ends: tuple[Arena, Arena]) -> tuple[TensorWriter, TensorReader]:
    return TensorWriter(ends[0]), TensorReader(ends[1])


def crossing(
    remembering: tuple[TensorWriter, TensorReader],
    arrays: list[np.ndarray],
    types: list[DataType],
    model: int = 1,
) -> list[np.ndarray]:
    writer, reader = remembering
    records = writer.write(model, arrays, [BY_ONNX[kind.value] for kind in types])
    return [array.copy() for array in reader.read(memoryview(records))]


def test_batches_of_known_shapes_carry_their_own_values(
    remembering: tuple[TensorWriter, TensorReader],
) -> None:
    for value in range(5):
        for rows in (3, 1, 20_000):  # the last one makes the memory grow
            arrays = [np.full((rows, 2), value, np.float32), np.arange(rows)[::-1]]
            answers = crossing(remembering, arrays, [DataType.FLOAT, DataType.INT64])
            for answer, array in zip(answers, arrays, strict=True):
                assert np.array_equal(answer, array)


def test_equal_shapes_of_two_models_keep_their_types(
    remembering: tuple[TensorWriter, TensorReader],
) -> None:
    for _ in range(2):
        [numbers] = crossing(remembering, [np.array([1.5, 2.5])], [DataType.DOUBLE], model=1)
        [whole] = crossing(remembering, [np.array([7, 8])], [DataType.INT64], model=2)
        assert (numbers.tolist(), whole.tolist()) == ([1.5, 2.5], [7, 8])


def test_strings_are_read_anew_every_time(
    remembering: tuple[TensorWriter, TensorReader],
) -> None:
    for text in ("one", "two", "six"):  # equal in length, so that the records are equal
        [answer] = crossing(remembering, [np.array([text], object)], [DataType.STRING])
        assert answer.tolist() == [text]


def test_what_is_remembered_is_bounded(remembering: tuple[TensorWriter, TensorReader]) -> None:
    for rows in range(1, 600):
        [answer] = crossing(remembering, [np.arange(rows)], [DataType.INT64])
        assert answer.tolist() == list(range(rows))
    assert all(len(side._known) <= 256 for side in remembering)


def test_every_mapping_of_a_pinned_arena_stays_registered_until_it_closes(
    ends: tuple[Arena, Arena],
) -> None:
    """Views of an outgrown mapping live on, and a device may be reading from it."""
    writer, reader = ends
    log: list[str] = []

    def pin(memory: mmap.mmap) -> Callable[[], None]:
        size = len(memory)
        log.append(f"pin {size}")
        return lambda: log.append(f"release {size}")

    reader.pin = pin
    for count in (10, 10, 1 << 20):
        there_and_back(ends, [np.ones(count, np.float32)], [DataType.FLOAT])
    assert log == ["pin 65536", "pin 4194304"]
    reader.close()
    assert log[2:] == ["release 65536", "release 4194304"]
    assert writer.pin is None


def test_memory_that_cannot_be_pinned_is_used_all_the_same(ends: tuple[Arena, Arena]) -> None:
    ends[1].pin = lambda _: None
    [answer] = there_and_back(ends, [np.arange(5)], [DataType.INT64])
    assert answer.tolist() == [0, 1, 2, 3, 4]
    ends[1].close()
