"""A variant that is asked one row at a time is held against the reference asked likewise."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models.datatypes import DataType
from models.manifest import TensorSpec
from tests.training.optimizing.fake_subject import FakeSubject, subject_in
from training.optimizing import judging
from training.optimizing.budget import Budget
from training.optimizing.judging import Judged, judge, know
from training.optimizing.targets import get
from training.work import Array, Arrays, Predict

VARIANT = get("onnxruntime:int8-static")
IDS = np.array([[5, 6, 0, 0], [7, 3, 9, 2], [4, 0, 0, 0]])
_MASKED = -1e4


def tokens_of(inputs: Mapping[str, Array]) -> Arrays:
    """A number for every token, and one that hides it where there is none."""
    ids = inputs["ids"].astype(np.float32)
    return {"logits": np.where(ids == 0, np.float32(_MASKED), ids)}


def slightly_off(inputs: Mapping[str, Array]) -> Arrays:
    return {name: answer * np.float32(1.01) for name, answer in tokens_of(inputs).items()}


class Texts(FakeSubject):
    """Ids padded with zeros; judged by their answers' direction."""

    is_embedding = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        ids = TensorSpec(
            name="ids", dtype=DataType.INT64, shape=("batch", "tokens"), pad_axes=("tokens",)
        )
        self.inputs = (ids,)

    def sample(self, batch: int) -> Arrays:
        return {"ids": np.resize(IDS, (batch, IDS.shape[1]))}

    def golden_inputs(self) -> Arrays:
        return {"ids": IDS[1:2]}

    def evaluate(self, predict: Predict) -> tuple[()]:
        return ()

    def item_scores(self, predict: Predict) -> Array:
        return np.ones(3)


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Judged]:
    """By whether the variant's rows are independent."""
    subject_in(tmp_path)  # a graph, whose size is told
    (tmp_path / str(VARIANT.file)).parent.mkdir()
    (tmp_path / str(VARIANT.file)).write_bytes(b"variant")
    subject = Texts(tmp_path)

    @contextmanager
    def opened(_: object, target: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(predict=slightly_off if target is VARIANT else tokens_of)

    monkeypatch.setattr(judging, "opened", opened)

    def run(is_independent: bool) -> Judged:
        monkeypatch.setattr(judging, "is_row_independent", lambda *_: is_independent)
        return judge(subject, VARIANT, know(subject), Budget())

    return run


def test_what_the_reference_says_of_padding_is_no_difference(
    judged: Callable[[bool], Judged],
) -> None:
    found = judged(False)
    assert found.record.max_difference == pytest.approx(0.09, rel=1e-3), "of the token 9"
    assert found.objection == ""


def test_rows_in_a_batch_are_compared_with_their_padding(judged: Callable[[bool], Judged]) -> None:
    assert judged(True).record.max_difference == pytest.approx(100.0), "of what hides"
