"""V1's two shapes: columns are rows turned over, and nothing is lost or guessed on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.datatypes import DataType
from models.errors import SlipwayError
from models.manifest import Manifest, TensorSpec
from service.protocol import v1
from tests.service.manifests import manifest_of

PAIR = manifest_of(
    [("a", DataType.FLOAT, ("batch", "n")), ("b", DataType.FLOAT, ("batch",))],
    [("y", DataType.FLOAT, ("batch",)), ("z", DataType.FLOAT, ("batch",))],
)
LONE = manifest_of([("x", DataType.FLOAT, ("batch",))], [("y", DataType.FLOAT, ("batch",))])


def bare() -> Manifest:
    """No batch axis anywhere."""
    specs = [
        TensorSpec(name=name, dtype=DataType.FLOAT, shape=(2,), batch_axis=None)
        for name in ("x", "y")
    ]
    return manifest_of(specs[:1], specs[1:])


def rows(document: dict[str, object], manifest: Manifest) -> object:
    return v1.with_rows(document, manifest)["instances"]


@given(st.lists(st.tuples(st.lists(st.integers()), st.integers()), min_size=1))
def test_columns_become_rows(items: list[tuple[list[int], int]]) -> None:
    columns = {"a": [a for a, _ in items], "b": [b for _, b in items]}
    assert rows({"inputs": columns}, PAIR) == [{"a": a, "b": b} for a, b in items]


def test_a_lone_input_needs_no_name_and_other_members_stay() -> None:
    document = {"inputs": [1, 2], "parameters": {"k": 1}, "signature_name": "s"}
    wanted = {"instances": [{"x": 1}, {"x": 2}], "parameters": {"k": 1}, "signature_name": "s"}
    assert v1.with_rows(document, LONE) == wanted
    assert v1.with_rows({**document, "inputs": {"x": [1, 2]}}, LONE) == wanted


def test_without_batch_the_columns_are_the_only_row() -> None:
    assert rows({"inputs": [1, 2]}, bare()) == [{"x": [1, 2]}]
    assert v1.outputs([{"y": [3, 4]}], bare()) == [3, 4]


def test_answers_become_columns_again() -> None:
    answers = [{"y": 1, "z": [2]}, {"y": 3, "z": [4]}]
    assert v1.outputs(answers, PAIR) == {"y": [1, 3], "z": [[2], [4]]}
    assert v1.outputs([{"y": 1}, {"y": 3}], LONE) == [1, 3]


@pytest.mark.parametrize(
    ("inputs", "manifest"),
    [
        ([1, 2], PAIR),
        ({"a": [[1]]}, PAIR),
        ({"a": [[1]], "b": [1], "c": [1]}, PAIR),
        ({"a": [[1], [2]], "b": [1]}, PAIR),
        ({"a": [[1]], "b": 1}, PAIR),
        (1, LONE),
        ("text", LONE),
        (None, LONE),
        ({"w": [1]}, LONE),
        (
            [[1]],
            manifest_of(
                [TensorSpec(name="x", dtype=DataType.FLOAT, shape=(2, "n"), batch_axis=1)],
            ),
        ),
    ],
    ids=str,
)
def test_columns_that_are_no_columns_are_a_400(inputs: object, manifest: Manifest) -> None:
    with pytest.raises(SlipwayError) as refusal:
        v1.with_rows({"inputs": inputs}, manifest)
    assert refusal.value.status == 400


def test_rows_and_columns_do_not_come_together() -> None:
    with pytest.raises(SlipwayError, match="not both"):
        v1.with_rows({"inputs": [1], "instances": [1]}, LONE)
