"""A training run is judged by its own figures, per item where it has such."""

from pathlib import Path

import numpy as np

from models.manifest import MODEL_FILE
from tests.training.fake_work import FakeWork, plan_for, prepared
from training.export import export
from training.optimizing.of_work import WorkSubject
from training.predict import onnx_predict
from training.work import Array, Predict


class ByItem(FakeWork):
    def item_scores(self, predict: Predict) -> Array:
        return np.asarray(predict({"point": self.rows})["logits"].argmax(axis=1) == self.labels)


def subject_of(work: FakeWork, folder: Path) -> WorkSubject:
    plan = plan_for(work.lightning_module().network)
    export(plan, work.sample_inputs(2, None), folder / MODEL_FILE)
    return WorkSubject(work, folder, plan.inputs, plan.outputs)


def test_answers_are_remembered_only_for_who_scores_items(tmp_path: Path) -> None:
    work = ByItem(prepared().config, None)
    work.prepare()
    by_item = subject_of(work, tmp_path)
    assert by_item.scores_items
    ask = onnx_predict(by_item.graph)
    scores = by_item.item_scores(ask)
    assert scores is not None
    assert scores.mean() == by_item.evaluate(ask)[0].value
    assert not subject_of(prepared(), tmp_path).scores_items


def test_its_rows_and_questions_are_the_works(tmp_path: Path) -> None:
    work = prepared()
    subject = subject_of(work, tmp_path)
    assert np.array_equal(subject.sample(5)["point"], work.rows[:5])
    assert len(subject.golden_inputs()["point"]) >= 3
    assert subject.precisions() == work.quantization_candidates()
    assert subject.own_predict(subject.graph) is None
    subject.write_exam(subject.graph)
    assert list(tmp_path.glob("*.npz")) == []
