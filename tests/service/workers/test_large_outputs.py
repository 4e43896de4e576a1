"""Large outputs are computed where the front end reads them; small ones are copied there."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.datatypes import BY_ONNX, DataType
from models.manifest import Batching
from service.workers.arena import Arena
from service.workers.base import ModelKey
from service.workers.host import LARGE_BYTES, BatchModel, ModelHost
from service.workers.options import HostOptions
from service.workers.tensors import TensorReader, TensorWriter
from tests.service import graphs
from tests.service.workers.conftest import MakePool

FLOAT = BY_ONNX[DataType.FLOAT.value]
WIDTH = 1024
LARGE_ROWS = LARGE_BYTES // (4 * WIDTH)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    made = graphs.doubler(WIDTH)
    return made.publish(
        tmp_path / "repository", "wide", tmp_path, batching=Batching(max_batch_size=4096)
    )


@pytest.fixture
def model(bundle: Bundle) -> BatchModel:
    host = ModelHost(HostOptions())
    host.load(1, bundle)
    return host.model(1)


def rows(count: int, first: float = 0.0) -> np.ndarray:
    return np.arange(count * WIDTH, dtype=np.float32).reshape(count, WIDTH) + np.float32(first)


def test_only_large_outputs_ask_for_room(model: BatchModel) -> None:
    asked: list[list[tuple[int, ...]]] = []

    def room(shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        asked.append(shapes)
        return [np.zeros(shape, np.float32) for shape in shapes]

    model.run([rows(LARGE_ROWS - 1)], room=room)
    assert asked == []
    [output], _ = model.run([rows(LARGE_ROWS)], room=room)
    assert asked == [[(LARGE_ROWS, WIDTH)]]
    np.testing.assert_array_equal(output, 2 * rows(LARGE_ROWS))


def test_without_room_or_known_shapes_outputs_are_the_runtimes(model: BatchModel) -> None:
    [output], _ = model.run([rows(LARGE_ROWS)], room=lambda _: None)
    np.testing.assert_array_equal(output, 2 * rows(LARGE_ROWS))
    free = graphs.spec("y", DataType.FLOAT, ["found", WIDTH])
    manifest = model.bundle.manifest.model_copy(update={"outputs": (free,)})
    model.bundle = Bundle(model.bundle.path, manifest)
    [output], _ = model.run([rows(LARGE_ROWS)], room=pytest.fail)
    assert output.shape == (LARGE_ROWS, WIDTH)


def test_what_was_computed_in_its_room_is_not_copied_and_is_what_the_other_side_reads() -> None:
    arena = Arena.create("outputs")
    writer, reader = TensorWriter(arena), TensorReader(Arena(arena.descriptor))
    for first in (0.0, 5.0):
        made = writer.room(1, [(8, WIDTH), (3,)], [FLOAT, FLOAT])
        assert made is not None
        large, small = made
        large[...] = rows(8, first)
        records = writer.write(1, [large, np.array([1, 2, 3], np.float32)], [FLOAT, FLOAT])
        found = reader.read(memoryview(records))
        np.testing.assert_array_equal(found[0], rows(8, first))
        np.testing.assert_array_equal(found[1], [1, 2, 3])
        np.testing.assert_array_equal(small, [1, 2, 3])
    strings = BY_ONNX[DataType.STRING.value]
    assert writer.room(2, [(1,)], [strings]) is None


@pytest.mark.anyio
async def test_large_answers_arrive_whole_through_every_kind_of_pool(
    bundle: Bundle, make_pool: MakePool
) -> None:
    async with make_pool(1) as pool:
        await pool.load(bundle)
        for count in (LARGE_ROWS, 3, 2 * LARGE_ROWS, LARGE_ROWS):
            given = rows(count, float(count))
            result = await pool.run(ModelKey("wide", 1), {"x": given})
            np.testing.assert_array_equal(result.outputs["y"], 2 * given)
