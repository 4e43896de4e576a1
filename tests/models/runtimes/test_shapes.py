"""How large outputs will be follows from the manifest's axes, or it is not said."""

import numpy as np

from models.datatypes import DataType
from models.runtimes.shapes import output_shapes
from tests.service.graphs import spec

IDS = spec("ids", DataType.INT64, ["batch", "sequence"])
GIVEN = {"ids": np.zeros((2, 5), np.int64)}


def test_outputs_are_as_large_as_the_inputs_axes_of_the_same_name() -> None:
    hidden = spec("hidden", DataType.FLOAT, ["batch", "sequence", 8])
    scale = spec("scale", DataType.FLOAT, [1], batch_axis=None)
    found = output_shapes([IDS], [hidden, scale], GIVEN)
    assert found == {"hidden": (2, 5, 8), "scale": (1,)}


def test_an_axis_that_no_input_has_says_nothing_of_any_output() -> None:
    found, known = (spec(axis, DataType.INT64, [axis]) for axis in ("count", "batch"))
    assert output_shapes([IDS], [known, found], GIVEN) is None
