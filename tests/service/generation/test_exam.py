"""The exam passes on the exported graph and fails on other weights and on a cache that is not shared."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.errors import ExamFailed
from models.golden import Golden
from models.manifest import Tolerance
from service.generation.cache import SlotCache
from service.generation.exam import examine
from service.generation.graph import open_graph
from tests.service.generation.conftest import VOCABULARY, TinyModel
from training.networks.slot_plan import first_prompts

TOLERANCE = Tolerance(atol=1e-3)


@pytest.fixture
def golden(tiny: TinyModel) -> Golden:
    ids = np.random.default_rng(2).integers(0, VOCABULARY, (3, 21))
    inputs = first_prompts(ids, tiny.decoder.config)
    [logits] = tiny.graph.session.run(["logits"], inputs)
    return Golden(inputs, {"logits": logits})


def test_exported_graph_passes(tiny: TinyModel, golden: Golden) -> None:
    assert examine(tiny.graph, golden, TOLERANCE) <= 1e-4


def test_other_weights_fail(tiny: TinyModel, golden: Golden) -> None:
    model = onnx.load_from_string(tiny.file)
    weight = max(model.graph.initializer, key=lambda entry: len(entry.raw_data))
    changed = numpy_helper.to_array(weight).copy()
    changed[0] += 1.0
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    with pytest.raises(ExamFailed):
        examine(open_graph(model.SerializeToString()), golden, TOLERANCE)


def test_golden_inputs_of_another_model_fail_cleanly(tiny: TinyModel, golden: Golden) -> None:
    other = Golden({"image": golden.inputs["ids"]}, golden.outputs)
    with pytest.raises(ExamFailed):
        examine(tiny.graph, other, TOLERANCE)


def test_cache_that_loses_what_was_fed_fails(
    tiny: TinyModel, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_feed = SlotCache.feed

    def forgetful(self: SlotCache, row: int, cached: int, tokens: np.ndarray) -> np.ndarray:
        for tensor in self.tensors:
            tensor[:] = 0
        return true_feed(self, row, cached, tokens)

    monkeypatch.setattr(SlotCache, "feed", forgetful)
    with pytest.raises(ExamFailed):
        examine(tiny.graph, golden, TOLERANCE)
