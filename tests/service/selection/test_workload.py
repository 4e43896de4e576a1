"""What candidates are timed on: sizes that requests come in, made of what the exam holds."""

from pathlib import Path

import numpy as np

from models.datatypes import DataType
from models.manifest import Batching
from service.selection.workload import workloads
from tests.service import graphs
from tests.service.text_bundles import embedding_bundle


def test_one_item_and_a_batch_within_the_models_own_bounds(tmp_path: Path) -> None:
    made = graphs.doubler()
    for most, rows in ((1, [1]), (4, [1, 4]), (64, [1, 8])):
        batching = Batching(max_batch_size=most)
        repository = tmp_path / str(most)
        bundle = made.publish(repository, "double", tmp_path, batching=batching)
        found = workloads(bundle)
        assert [work.rows for work in found] == rows
        assert [work.inputs["x"].shape for work in found] == [(count, 4) for count in rows]
        assert made.sample is not None
        assert (found[-1].inputs["x"][:2] == made.sample["x"][: rows[-1]]).all()
        assert all(work.one["x"].shape == (1, 4) for work in found)


def test_two_lengths_where_an_axis_may_be_padded(tmp_path: Path) -> None:
    """This model reads 32 tokens at most, in batches of up to 4."""
    found = workloads(embedding_bundle(tmp_path))
    assert [work.name for work in found] == [
        *("batch 1 × 16", "batch 1 × 32"),
        *("batch 4 × 16", "batch 4 × 32"),
    ]
    for work in found:
        assert {array.shape for array in work.inputs.values()} == {
            (work.rows, int(work.name.split()[-1]))
        }
        assert {array.dtype for array in work.inputs.values()} == {np.dtype(np.int64)}


def test_a_graph_of_one_batch_size_is_timed_at_that(tmp_path: Path) -> None:
    made = graphs.doubler()
    made.inputs = (graphs.spec("x", DataType.FLOAT, [2, 4]),)
    bundle = made.publish(tmp_path / "repository", "pair", tmp_path)
    assert [(work.name, work.rows) for work in workloads(bundle)] == [("batch 2", 2)]


def test_without_an_exam_zeros_serve_where_sizes_are_known(tmp_path: Path) -> None:
    made = graphs.doubler()
    made.sample = None
    found = workloads(made.publish(tmp_path / "repository", "double", tmp_path))
    assert [work.inputs["x"].shape for work in found] == [(1, 4), (8, 4)]
    assert not found[-1].inputs["x"].any()
