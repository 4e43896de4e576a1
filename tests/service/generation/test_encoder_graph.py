"""Both graphs of an encoder–decoder are checked before anything runs, examined, and served by the host."""

import queue
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.errors import ExamFailed
from models.golden import Golden
from models.manifest import MODEL_FILE, Tolerance
from service.generation.encoder_graph import ENCODER_FILE, open_encoder
from service.generation.exam import examine
from service.generation.graph import GraphRefused, open_graph
from service.generation.host import GenerationHost
from service.generation.requests import Events
from tests.service.generation.translators import Translator, asked, translator
from tests.service.translator_bundles import translator_bundle
from training.networks.cross_plan import first_answers

TOLERANCE = Tolerance(atol=2e-3, rtol=1e-2)


@pytest.fixture(scope="module")
def model() -> Translator:
    return translator("transformer")


@pytest.fixture
def golden(model: Translator) -> Golden:
    rng = np.random.default_rng(1)
    mask = np.ones((3, 9), np.int64)
    mask[-1, 5:] = 0
    answers = rng.integers(0, 256, (3, 7))
    given = {
        "input_ids": rng.integers(0, 256, (3, 9)),
        "attention_mask": mask,
        **first_answers(answers, model.network.sizes),
    }
    return Golden(given, {k: v for k, v in model.predict(given).items() if "present" not in k})


def test_both_graphs_pass_their_exam(model: Translator, golden: Golden) -> None:
    assert "cross.0.key" in golden.outputs
    assert examine(model.decoder, golden, TOLERANCE, model.encoder) < 1e-2


def test_an_encoder_with_other_weights_fails_the_exam(model: Translator, golden: Golden) -> None:
    changed = onnx.load(model.folder / ENCODER_FILE)
    weight = max(changed.graph.initializer, key=lambda entry: len(entry.raw_data))
    values = numpy_helper.to_array(weight) + np.float32(0.5)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    encoder = open_encoder(changed.SerializeToString(), model.decoder)
    with pytest.raises(ExamFailed, match=r"cross\."):
        examine(model.decoder, golden, TOLERANCE, encoder)


def test_graphs_in_each_others_place_are_refused(model: Translator) -> None:
    decoder = (model.folder / MODEL_FILE).read_bytes()
    encoder = (model.folder / ENCODER_FILE).read_bytes()
    with pytest.raises(GraphRefused, match="dialect"):
        open_graph(encoder)
    with pytest.raises(GraphRefused, match="encoder's inputs"):
        open_encoder(decoder, model.decoder)


def test_an_encoder_whose_rows_would_share_a_scale_is_refused(model: Translator) -> None:
    encoder = (model.folder / ENCODER_FILE).read_bytes()
    with pytest.raises(GraphRefused, match="the encoder graph holds DynamicQuantize"):
        open_encoder(encoder + b"DynamicQuantizeLinear", model.decoder)


def test_an_encoder_that_leaves_something_else_is_refused(model: Translator) -> None:
    changed = onnx.load(model.folder / ENCODER_FILE)
    del changed.graph.output[-1]
    with pytest.raises(GraphRefused, match="cache tensors"):
        open_encoder(changed.SerializeToString(), model.decoder)


def test_the_host_serves_a_bundle_of_two_graphs(model: Translator, tmp_path: Path) -> None:
    host = GenerationHost(translator_bundle(tmp_path / "repository", graphs=model.folder))
    told: queue.Queue[Events] = queue.Queue()
    request = asked([200, 90, 41], num_beams=3, n=2)
    try:
        host.submit(1, request.to_json(), told.put)
        [(_, event)] = told.get(timeout=20.0)
    finally:
        host.close()
    assert list(event.token_ids) == list(model.reference(request).tokens)
    assert len(event.alternatives) == 1
    assert type(event).from_json(event.to_json()) == event


def test_graph_files_and_manifest_that_do_not_agree_are_refused(
    model: Translator, tmp_path: Path
) -> None:
    folder = tmp_path / "graphs"
    folder.mkdir()
    decoder = onnx.load(model.folder / MODEL_FILE)
    for entry in decoder.metadata_props:
        if entry.value == "slipway.slot.cross":
            entry.value = "slipway.slot"
    (folder / MODEL_FILE).write_bytes(decoder.SerializeToString())
    (folder / ENCODER_FILE).write_bytes((model.folder / ENCODER_FILE).read_bytes())
    with pytest.raises(GraphRefused, match="cache"):
        GenerationHost(translator_bundle(tmp_path / "repository", graphs=folder))
