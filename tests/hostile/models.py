"""Every kind of model that answers at once, small, with a graph that ONNX Runtime opens.

What the graphs answer has no meaning; it is finite, of the right shape, and each item's own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto, helper

from models.bundle import Bundle
from models.golden import Golden
from models.manifest import GOLDEN_FILE, MODEL_FILE, TensorSpec
from models.publish import publish
from service.tasks.examples import made_up_item
from tests.service.bundles import (
    answers_of,
    digits_bundle,
    language_bundle,
    painter_bundle,
    redrawer_bundle,
    tensor_bundle,
)
from tests.service.generation.translators import translator
from tests.service.graphs import graph
from tests.service.picture_bundles import embedder_bundle, inspector_bundle
from tests.service.scene_bundles import detection_bundle, segmentation_bundle
from tests.service.span_bundles import answer_bundle, entity_bundle
from tests.service.text_bundles import embedding_bundle, similarity_bundle
from tests.service.translator_bundles import translator_bundle

PICTURE_MODELS = (
    "digits",
    "image-embedding",
    "object-detection",
    "semantic-segmentation",
    "visual-anomaly-detection",
)
TEXT_MODELS = ("language-id", "sentences", "entities", "translator")
PAIR_MODELS = {"pairs": ("text", "text_pair"), "answers": ("question", "context")}


def publish_every_kind(folder: Path) -> Path:
    """The repository, with one model of every task but text generation, which is examined elsewhere."""
    repository = folder / "repository"
    embedding_bundle(repository)
    similarity_bundle(repository)
    translator_bundle(repository, graphs=translator("transformer").folder)
    unopened = folder / "unopened"
    for bundle in (
        digits_bundle(unopened / "repository"),
        language_bundle(unopened / "repository"),
        painter_bundle(unopened / "repository"),
        redrawer_bundle(unopened / "repository"),
        tensor_bundle(unopened / "repository"),
        detection_bundle(unopened / "repository"),
        segmentation_bundle(unopened / "repository"),
        embedder_bundle(unopened / "repository"),
        inspector_bundle(unopened / "repository"),
        answer_bundle(unopened / "answers"),
        entity_bundle(unopened / "entities", example="Ada was in London."),
    ):
        with_graph(bundle, repository)
    return repository


def with_graph(bundle: Bundle, repository: Path) -> Bundle:
    """The same bundle with a graph of its signature, and an exam that it passes."""
    manifest = bundle.manifest
    staged = repository.parent / f"staged-{manifest.name}"
    staged.mkdir(parents=True)
    for name in manifest.files:
        (staged / name).write_bytes(bundle.read(name))
    model = graph_of(manifest.inputs, manifest.outputs)
    (staged / MODEL_FILE).write_bytes(model)
    if GOLDEN_FILE in manifest.files:
        inputs = Golden.from_bytes(bundle.read(GOLDEN_FILE)).inputs
    else:
        inputs = {name: row[None] for name, row in made_up_item(manifest.inputs).items()}
    wanted = {spec.name: np.zeros(1, np.float32) for spec in manifest.outputs}
    Golden(inputs, answers_of(model, Golden(inputs, wanted))).save(staged / GOLDEN_FILE)
    return publish(repository, manifest, staged)


def graph_of(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bytes:
    """Each output is a table of numbers in 0–1, times 1 + what the first input has: its mean, or the sine
    of each token's id where the output has an axis of tokens."""
    first, random = inputs[0], np.random.default_rng(0)
    rank = len(first.shape)
    nodes = [
        helper.make_node("Cast", [first.name], ["numbers"], to=1),
        helper.make_node("ReduceMean", ["numbers", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sin", ["numbers"], ["sine"]),
    ]
    weights = {"axes": np.arange(1, rank), "one": np.ones(1, np.float32)}
    for output in outputs:
        fixed = [1 if isinstance(axis, str) else axis for axis in output.shape]
        weights[f"{output.name}_table"] = random.random(fixed, np.float32)
        nodes += _spread(output, is_each="sequence" in output.shape)
        kept = 2 if "sequence" in output.shape else 1
        weights[f"{output.name}_shape"] = np.array([0, 0][:kept] + [1] * (len(fixed) - kept))
    return graph(nodes, inputs, outputs, weights)


def _spread(output: TensorSpec, *, is_each: bool) -> list[NodeProto]:
    name = output.name
    return [
        helper.make_node("Add", ["sine" if is_each else "mean", "one"], [f"{name}_raised"]),
        helper.make_node("Reshape", [f"{name}_raised", f"{name}_shape"], [f"{name}_spread"]),
        helper.make_node("Mul", [f"{name}_spread", f"{name}_table"], [name]),
    ]
