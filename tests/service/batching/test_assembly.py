"""Rows into a batch and back: whose is whose, and padding that nobody sees."""

import numpy as np
import pytest

from models.datatypes import DataType
from models.errors import InputError
from models.manifest import Manifest, TensorSpec
from service.batching.assembly import Assembly
from service.batching.ticket import Arrays, Ticket
from service.errors import OutputMismatch
from tests.service.batching.test_batcher import text_manifest
from tests.service.manifests import manifest_of, vector


def tickets(assembly: Assembly, *inputs: Arrays) -> list[Ticket]:
    made = []
    for arrays in inputs:
        rows = arrays["x"].shape[assembly.inputs[0].batch_axis or 0]
        ticket = Ticket(arrays, rows, arrived=0.0)
        assembly.describe(ticket)
        made.append(ticket)
    return made


def numbers(*values: float) -> Arrays:
    return {"x": np.repeat(np.array(values, np.float32)[:, None], 2, axis=1)}


def text(rows: int, length: int) -> Arrays:
    return {"x": np.full((rows, length), length), "mask": np.ones((rows, length), np.int64)}


# -- allowed sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "run"), [(1, 2), (2, 2), (3, 8), (8, 8), (9, 9)])
def test_a_batch_is_filled_up_to_the_next_allowed_size_with_copies_of_its_last_row(
    rows: int, run: int
) -> None:
    assembly = Assembly(vector(2), allowed_sizes=(2, 8))
    batch = tickets(assembly, numbers(*range(rows)))
    stacked = assembly.stack(batch)["x"]
    assert stacked[:, 0].tolist() == [*range(rows), *[rows - 1] * (run - rows)]
    (answer,) = assembly.split({"y": stacked * 2}, batch)
    assert answer["y"][:, 0].tolist() == [2 * row for row in range(rows)], "padding got out"


def test_padding_rows_reach_nobody_in_a_batch_of_several() -> None:
    assembly = Assembly(vector(2), allowed_sizes=(8,))
    batch = tickets(assembly, numbers(1, 2), numbers(3), numbers(4, 5))
    answers = assembly.split(assembly.stack(batch) | {"y": assembly.stack(batch)["x"]}, batch)
    assert [answer["y"][:, 0].tolist() for answer in answers] == [[1, 2], [3], [4, 5]]


def test_outputs_are_counted_with_the_padding_rows() -> None:
    assembly = Assembly(vector(2), allowed_sizes=(8,))
    with pytest.raises(OutputMismatch):
        assembly.split({"y": np.zeros((3, 2))}, tickets(assembly, numbers(1, 2, 3)))


def test_texts_of_different_length_are_filled_up_as_well() -> None:
    assembly = Assembly(text_manifest(), allowed_sizes=(4,))
    batch = tickets(assembly, text(1, 3), text(1, 5))
    stacked = assembly.stack(batch)
    assert stacked["x"].tolist() == [[3, 3, 3, 7, 7], [5] * 5, [5] * 5, [5] * 5]
    answers = assembly.split({"y": stacked["x"]}, batch)
    assert [answer["y"].tolist() for answer in answers] == [[[3] * 3], [[5] * 5]]


def test_a_model_that_cannot_be_batched_is_not_filled_up() -> None:
    inputs = [TensorSpec(name="x", dtype=DataType.FLOAT, shape=("n", 2), batch_axis=None)]
    assembly = Assembly(manifest_of(inputs), allowed_sizes=(4,))
    assert len(assembly.stack(tickets(assembly, numbers(1)))["x"]) == 1


# -- other axes ---------------------------------------------------------------------------------------


def test_a_batch_axis_that_is_not_the_first() -> None:
    def spec(name: str) -> TensorSpec:
        return TensorSpec(name=name, dtype=DataType.FLOAT, shape=("time", "batch"), batch_axis=1)

    assembly = Assembly(manifest_of([spec("x")], [spec("y")]), allowed_sizes=(8,))
    columns = [np.full((3, width), width, np.float32) for width in (1, 2, 3)]
    batch = tickets(assembly, *({"x": column} for column in columns))
    stacked = assembly.stack(batch)["x"]
    assert stacked.shape == (3, 8)
    for answer, column in zip(assembly.split({"y": stacked}, batch), columns, strict=True):
        assert np.array_equal(answer["y"], column)


def test_inputs_that_disagree_about_an_axis_are_refused_whatever_their_neighbours_are() -> None:
    """Padded with longer ones they would fit together, alone they would not."""
    assembly = Assembly(text_manifest())
    ticket = Ticket({**text(1, 5), "mask": np.ones((1, 6), np.int64)}, 1, arrived=0.0)
    with pytest.raises(InputError, match="sequence"):
        assembly.describe(ticket)


def test_lengths_and_work_of_texts_and_of_a_batch_of_them() -> None:
    assembly = Assembly(text_manifest())
    batch = tickets(assembly, text(2, 10), text(1, 25))
    assert [(ticket.lengths, ticket.work) for ticket in batch] == [((10,), 20.0), ((25,), 25.0)]
    assert assembly.work(batch) == 3 * 25


def test_only_equal_shapes_have_equal_keys() -> None:
    def manifest() -> Manifest:
        shape = ("batch", "height", "width")
        return manifest_of([("x", DataType.FLOAT, shape), ("z", DataType.FLOAT, ("batch", "n"))])

    assembly = Assembly(manifest())

    def key(*sizes: int) -> object:
        height, width, n = sizes
        arrays = {"x": np.zeros((1, height, width)), "z": np.zeros((1, n))}
        return tickets(assembly, arrays)[0].key

    assert key(2, 3, 4) == key(2, 3, 4)
    assert len({key(2, 3, 4), key(3, 2, 4), key(2, 3, 5), key(6, 1, 4)}) == 4


# -- length buckets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "run"), [(1, 4), (4, 4), (5, 8), (9, 9)])
def test_a_text_alone_is_padded_up_to_the_next_bucket_and_one_beyond_all_stays(
    length: int, run: int
) -> None:
    assembly = Assembly(text_manifest(), length_buckets=(4, 8))
    batch = tickets(assembly, text(2, length))
    stacked = assembly.stack(batch)
    assert stacked["x"].shape == stacked["mask"].shape == (2, run)
    assert stacked["mask"].sum() == 2 * length, "padding is no text"


def test_texts_of_one_bucket_count_as_equally_long() -> None:
    assembly = Assembly(text_manifest(), length_buckets=(4, 8))
    batch = tickets(assembly, text(1, 5), text(1, 8), text(2, 3))
    assert [ticket.lengths for ticket in batch] == [(8,), (8,), (4,)]
    assert assembly.work(batch) == 4 * 8
    assert assembly.stack(batch)["x"].shape == (4, 8)


def test_a_bucket_s_padding_reaches_nobody() -> None:
    """Output y is as long as the input: each caller gets back what it sent."""
    manifest = manifest_of(
        inputs=(TensorSpec(name="x", dtype=DataType.FLOAT, shape=("b", "n"), pad_axes=("n",)),),
        outputs=(TensorSpec(name="y", dtype=DataType.FLOAT, shape=("b", "n")),),
    )
    assembly = Assembly(manifest, length_buckets=(8,))
    for lengths in ((3,), (3, 8, 5)):
        sent = [{"x": np.full((1, n), n, np.float32)} for n in lengths]
        batch = tickets(assembly, *sent)
        answers = assembly.split({"y": assembly.stack(batch)["x"]}, batch)
        assert [answer["y"].tolist() for answer in answers] == [s["x"].tolist() for s in sent]


def test_buckets_go_together_with_allowed_sizes() -> None:
    assembly = Assembly(text_manifest(), allowed_sizes=(4,), length_buckets=(8,))
    batch = tickets(assembly, text(1, 2), text(2, 3))
    assert assembly.stack(batch)["x"].shape == (4, 8)


def echo_manifest() -> Manifest:
    return manifest_of(
        inputs=(TensorSpec(name="x", dtype=DataType.FLOAT, shape=("b", "n"), pad_axes=("n",)),),
        outputs=(TensorSpec(name="y", dtype=DataType.FLOAT, shape=("b", "n")),),
    )


def test_steps_reach_as_far_as_the_model_has_answered() -> None:
    """It may have no position for more, and nobody said how many it has."""
    assembly = Assembly(echo_manifest(), length_step=4)

    def ran(length: int) -> int:
        sent = {"x": np.full((1, length), length, np.float32)}
        batch = tickets(assembly, sent)
        stacked = assembly.stack(batch)["x"]
        [answer] = assembly.split({"y": stacked}, batch)
        assert answer["y"].tolist() == sent["x"].tolist()
        return int(stacked.shape[1])

    assert [ran(length) for length in (5, 5, 3, 9, 5, 6, 8, 10, 12, 9)] == [
        5, 5, 4, 9, 8, 8, 8, 10, 12, 12,
    ]  # fmt: skip


def test_a_length_that_failed_is_not_padded_up_to() -> None:
    assembly = Assembly(echo_manifest(), length_step=4)
    batch = tickets(assembly, {"x": np.ones((1, 8), np.float32)})
    assembly.stack(batch)  # and then the run fails: nothing is split
    [ticket] = tickets(assembly, {"x": np.ones((1, 7), np.float32)})
    assert ticket.lengths == (7,)


def test_lengths_that_were_named_win_over_steps() -> None:
    assembly = Assembly(echo_manifest(), length_buckets=(10,), length_step=4)
    [ticket] = tickets(assembly, {"x": np.ones((1, 3), np.float32)})
    assert ticket.lengths == (10,)


def test_a_model_without_axes_to_pad_knows_no_buckets() -> None:
    assembly = Assembly(vector(2), length_buckets=(8,))
    batch = tickets(assembly, numbers(1))
    assert assembly.stack(batch)["x"] is batch[0].inputs["x"]
