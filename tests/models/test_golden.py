"""The golden exam survives its file and notices a wrong answer."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import ExamFailed, IntegrityError
from models.golden import Golden
from models.manifest import Tolerance


def _golden() -> Golden:
    return Golden(
        {"x": np.eye(3, dtype=np.float32), "text": np.array(["grüß", "日本"], dtype=object)},
        {"y": np.arange(3, dtype=np.float32), "n": np.array([1, 2], dtype=np.int64)},
    )


def test_it_survives_its_file_strings_included(tmp_path: Path) -> None:
    _golden().save(tmp_path / "golden.npz")
    again = Golden.from_bytes((tmp_path / "golden.npz").read_bytes())
    assert again.inputs["text"].tolist() == ["grüß", "日本"]
    assert again.inputs["text"].dtype == object
    np.testing.assert_array_equal(again.outputs["y"], _golden().outputs["y"])


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_damaged_file_is_an_integrity_error(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        Golden.from_bytes(data)


def test_pickled_arrays_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, **{"input.x": np.array([{"a": 1}], dtype=object), "output.y": np.zeros(1)})
    with pytest.raises(IntegrityError):
        Golden.from_bytes(path.read_bytes())


def test_answers_within_tolerance_pass_with_the_worst_difference() -> None:
    answers = {"y": np.array([0, 1, 2.001], dtype=np.float32), "n": np.array([1, 2])}
    worst = _golden().compare(answers, Tolerance(atol=0.01, rtol=0))
    assert worst == pytest.approx(0.001, rel=1e-3)


@pytest.mark.parametrize(
    "answers",
    [
        {"y": np.array([0, 1, 2.1], dtype=np.float32), "n": np.array([1, 2])},
        {"y": np.array([0, 1, np.nan], dtype=np.float32), "n": np.array([1, 2])},
        {"y": np.zeros((3, 1), dtype=np.float32), "n": np.array([1, 2])},
        {"y": np.arange(3, dtype=np.float32), "n": np.array([1, 3])},
        {"n": np.array([1, 2])},
    ],
    ids=["value", "nan", "shape", "integer", "missing"],
)
def test_a_wrong_answer_fails(answers: dict[str, np.ndarray]) -> None:
    with pytest.raises(ExamFailed):
        _golden().compare(answers, Tolerance())
