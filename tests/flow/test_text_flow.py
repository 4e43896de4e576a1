"""From a short training run to the published graph: the same words get the same answer from both."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from models.blocks import ClassificationPostprocessing, TextPreprocessing
from models.bundle import Bundle, open_bundle
from models.golden import Golden
from models.manifest import GOLDEN_FILE, MODEL_FILE
from models.transforms.scores import softmax, top_k
from models.transforms.text import TextEncoder, pad_batch
from tests.training.fake_work import silent_reporter
from training import pipeline, predict, recipes
from training.runs import RunFolder
from training.tasks.text_classification import TextClassificationWork
from training.work import Arrays, Predict

# Twenty steps learn something, but not 38 languages: the floor is for the recipe's own length.
TWENTY_STEPS = (
    "max_steps=20",
    "phrases.train=40",
    "phrases.validation=5",
    "phrases.test=10",
    "gates.accuracy_floor=none",
    "baseline=false",
    "cnn.width=32",
    "cnn.filters=16",
)
pytestmark = pytest.mark.slow

TEXTS = (
    "torstai 5. kesäkuuta",
    "日本標準時",
    "x",
    "كيلومترات ودولار",
    "la hora de México y Perú " * 60,
)


@dataclass(frozen=True)
class Published:
    """A published bundle, how to ask the torch network it came from, and what the run printed."""

    bundle: Bundle
    torch_side: Predict
    printed: str


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    root = tmp_path_factory.mktemp("text")
    request = pipeline.Request(
        "language-id", settings=TWENTY_STEPS, repository=root / "models", runs=root / "runs"
    )
    report, text = silent_reporter()
    bundle = pipeline.run(request, report)
    config, _ = pipeline.configure(request)
    work = recipes.get("language-id").work_class()(config, None)
    assert isinstance(work, TextClassificationWork)
    work.prepare()
    module = work.lightning_module()
    weights = torch.load(RunFolder(request.runs, config.name).best, weights_only=True)
    module.load_state_dict(weights)
    torch_side = predict.torch_predict(work.export_plan(module), torch.device("cpu"))
    return Published(bundle, torch_side, text.getvalue())


def _read(bundle: Bundle, texts: tuple[str, ...]) -> Arrays:
    """Texts to tensors with nothing but what is in the bundle."""
    block = bundle.manifest.preprocessing
    assert isinstance(block, TextPreprocessing)
    encoder = TextEncoder(bundle.read_text(block.tokenizer), block)
    return pad_batch(encoder.encode_batch(texts), bundle.manifest.inputs)


def test_the_published_graph_answers_as_torch_does(published: Published) -> None:
    onnx_side = predict.onnx_predict(published.bundle.path / MODEL_FILE)
    for texts in ((TEXTS[0],), TEXTS[:3], TEXTS):
        inputs = _read(published.bundle, texts)
        expected, given = published.torch_side(inputs), onnx_side(inputs)
        np.testing.assert_allclose(given["logits"], expected["logits"], atol=1e-5, rtol=0)


def test_an_answer_does_not_depend_on_what_it_was_padded_with(published: Published) -> None:
    onnx_side = predict.onnx_predict(published.bundle.path / MODEL_FILE)
    together = onnx_side(_read(published.bundle, TEXTS))["logits"]
    for row, text in enumerate(TEXTS):
        alone = onnx_side(_read(published.bundle, (text,)))["logits"][0]
        np.testing.assert_allclose(together[row], alone, atol=1e-5, rtol=0)


def test_the_answer_reads_as_labels_with_scores(published: Published) -> None:
    manifest = published.bundle.manifest
    block = manifest.postprocessing
    assert isinstance(block, ClassificationPostprocessing)
    labels = published.bundle.labels(block.labels)
    assert len(labels) == manifest.outputs[0].shape[1]
    inputs = _read(published.bundle, ("日本標準時",))
    logits = predict.onnx_predict(published.bundle.path / MODEL_FILE)(inputs)["logits"][0]
    best, *others = top_k(softmax(logits, manifest.temperature), labels, block.top_k)
    assert best["index"] == int(published.torch_side(inputs)["logits"][0].argmax())
    assert best["label"] == labels[best["index"]]
    assert 0 < sum(row["score"] for row in (best, *others)) <= 1 + 1e-6


def test_the_bundle_is_whole_and_replays_its_exam(published: Published) -> None:
    bundle = open_bundle(published.bundle.path)
    assert {"tokenizer.json", "labels.txt", "card.md"} <= bundle.manifest.files.keys()
    golden = Golden.from_bytes(bundle.read(GOLDEN_FILE))
    assert golden.inputs["input_ids"].shape[0] >= 3
    answers = predict.onnx_predict(bundle.path / MODEL_FILE)(golden.inputs)
    golden.compare(answers, bundle.manifest.tolerance)


def test_the_run_compared_several_batch_sizes_and_lengths(published: Published) -> None:
    (parity,) = (gate for gate in published.bundle.manifest.gates if gate.name == "parity")
    assert parity.passed
    assert parity.detail == "torch and ONNX Runtime at 12 sizes"
    assert "max |difference|" in published.printed


def test_the_same_recipe_takes_a_table_of_ones_own(tmp_path: Path) -> None:
    rows = [
        {
            "review": f"{'a joy' if n % 2 else 'a bore'} from scene {n} on",
            "stars": 5 if n % 2 else 1,
        }
        for n in range(120)
    ]
    table = tmp_path / "reviews.jsonl"
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    request = pipeline.Request(
        "language-id",
        data=table,
        settings=("name=reviews", "max_steps=20", "epochs=20", "batch_size=16", "cnn.width=32"),
        repository=tmp_path / "models",
        runs=tmp_path / "runs",
    )
    bundle = pipeline.run(request, silent_reporter()[0])
    assert bundle.labels("labels.txt") == ["1", "5"]
    assert bundle.manifest.evaluation[0].value > 0.9
    assert {gate.name for gate in bundle.manifest.gates} == {"beats-majority", "parity"}
