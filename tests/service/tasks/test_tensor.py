from pathlib import Path

import numpy as np
import pytest

from models.datatypes import DataType
from models.errors import InputError
from service.tasks.base import TaskOptions
from service.tasks.tensor import TensorTask
from tests.service import graphs
from tests.service.bundles import tensor_bundle
from tests.service.tasks.rows import concluded


@pytest.fixture
def double(tmp_path: Path) -> TensorTask:
    return TensorTask(tensor_bundle(tmp_path / "repository"))


def test_an_instance_is_the_only_inputs_array_or_an_object_by_name(double: TensorTask) -> None:
    for form in ([1, 2, 3], {"x": [1, 2, 3]}):
        [item] = double.preprocess(double.read_json(form), TaskOptions()).items
        assert item["x"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("form", [{"y": [1, 2, 3]}, {"x": [1, 2, 3], "y": []}, {}, "abc", None])
def test_other_forms_are_refused(double: TensorTask, form: object) -> None:
    with pytest.raises(InputError):
        double.read_json(form)


def test_outputs_are_returned_by_name_with_null_for_what_json_cannot_say(
    double: TensorTask,
) -> None:
    row = {"y": np.asarray([1.5, np.nan, np.inf], np.float32)}
    assert concluded(double, row, {}) == {"y": [1.5, None, None]}


def test_bfloat16_answers_are_numbers_not_words(tmp_path: Path) -> None:
    bundle = graphs.identity(DataType.BFLOAT16, 3).publish(tmp_path / "r", "half", tmp_path)
    words = np.array([0x3F80, 0xC000, 0x7F80], np.uint16)
    assert concluded(TensorTask(bundle), {"y": words}, {}) == {"y": [1.0, -2.0, None]}


def test_the_example_is_the_exams_own_input(double: TensorTask) -> None:
    assert double.example() == {"x": [0.0, 1.0, 2.0]}
