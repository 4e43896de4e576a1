"""A row asked alone is the row without its batch's padding."""

from collections.abc import Mapping

import numpy as np

from models.datatypes import DataType
from models.manifest import TensorSpec
from training.optimizing.alone import one_by_one
from training.work import Array, Arrays

SPECS = [
    TensorSpec(
        name=name,
        dtype=DataType.INT64,
        shape=("batch", "sequence"),
        pad_axes=("sequence",),
        pad_value=fill,
    )
    for name, fill in (("ids", 1), ("mask", 0))
]
IDS = np.array([[5, 6, 1, 1], [7, 1, 9, 1], [1, 1, 1, 1]])
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]])


def test_padding_is_cut_off_and_answers_are_joined_in_order() -> None:
    seen: list[tuple[list[int], list[int]]] = []

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        seen.append((inputs["ids"][0].tolist(), inputs["mask"][0].tolist()))
        return {"pooled": inputs["ids"].sum(axis=1), "tokens": inputs["ids"] * 10}

    answers = one_by_one(predict, SPECS)({"ids": IDS, "mask": MASK})
    assert seen == [([5, 6], [1, 1]), ([7, 1, 9], [1, 1, 1]), ([1], [0])]
    assert answers["pooled"].tolist() == [11, 17, 1]
    assert answers["tokens"].tolist() == [[50, 60, 0], [70, 10, 90], [10, 0, 0]]


def test_rows_of_one_size_pass_as_they_are() -> None:
    image = TensorSpec(name="image", dtype=DataType.FLOAT, shape=("batch", 2))
    rows = np.array([[0.0, 0.0], [1.0, 2.0]])
    answers = one_by_one(lambda inputs: {"y": inputs["image"] * 2}, [image])({"image": rows})
    assert np.array_equal(answers["y"], rows * 2)
