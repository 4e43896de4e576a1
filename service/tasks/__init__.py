"""Kinds of work the service can do, by the name that a manifest gives in `task`.

The table holds records with lazy factories: listing it imports no plug-in. `base` says what a plug-in
must do; every other module here is one plug-in or a part that several of them share.
"""

import importlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from models.errors import InputError, ManifestInvalid

if TYPE_CHECKING:
    from models.bundle import Bundle
    from service.tasks.base import ServiceTask

_log = logging.getLogger("slipway.tasks")


@dataclass(frozen=True)
class TaskEntry:
    """`plugin` is `module:Class`; `reads` and `answers` are for people who list the table."""

    name: str
    reads: str
    answers: str
    plugin: str


_ENTRIES: dict[str, TaskEntry] = {}


def register(entry: TaskEntry) -> None:
    """Add a kind of work. Raises ValueError when the name is taken: silent replacement hides a defect."""
    if entry.name in _ENTRIES:
        raise ValueError(
            f"task {entry.name!r} is registered already, by {_ENTRIES[entry.name].plugin}"
        )
    _ENTRIES[entry.name] = entry


def known() -> tuple[TaskEntry, ...]:
    """Every registered kind of work, by name."""
    return tuple(_ENTRIES[name] for name in sorted(_ENTRIES))


def plugin(name: str) -> "type[ServiceTask]":
    """Import the plug-in of a task. Raises ManifestInvalid, listing the known ones."""
    entry = _ENTRIES.get(name)
    if entry is None:
        raise ManifestInvalid(f"task {name!r} is unknown; known: {', '.join(sorted(_ENTRIES))}")
    module, _, attribute = entry.plugin.partition(":")
    return cast("type[ServiceTask]", getattr(importlib.import_module(module), attribute))


def open_task(bundle: "Bundle") -> "ServiceTask":
    """The plug-in for a bundle's task, ready for its first request.

    Its own example goes through preprocessing once, so that no caller pays for what Pillow and the
    tokenizers load lazily (20 ms).
    """
    task = plugin(bundle.manifest.task)(bundle)
    try:
        task.prepare_example()
    except InputError as error:
        # A model may be sound and its example not; its callers send inputs of their own.
        _log.warning("the example of %s does not work: %s", bundle.name, error.message)
    return task


for _entry in (
    TaskEntry(
        "image-classification",
        reads="a picture",
        answers="labels with scores",
        plugin="service.tasks.image_classification:ImageClassification",
    ),
    TaskEntry(
        "object-detection",
        reads="a picture",
        answers="labelled boxes",
        plugin="service.tasks.object_detection:ObjectDetection",
    ),
    TaskEntry(
        "semantic-segmentation",
        reads="a picture",
        answers="a class for every pixel",
        plugin="service.tasks.semantic_segmentation:SemanticSegmentation",
    ),
    TaskEntry(
        "image-embedding",
        reads="a picture, or two to compare",
        answers="a vector, names of pictures like it, or whether two show the same",
        plugin="service.tasks.image_embedding:ImageEmbedding",
    ),
    TaskEntry(
        "visual-anomaly-detection",
        reads="a picture",
        answers="how unusual it is, and where",
        plugin="service.tasks.visual_anomaly:VisualAnomalyDetection",
    ),
    TaskEntry(
        "text-classification",
        reads="text",
        answers="labels with scores",
        plugin="service.tasks.text_classification:TextClassification",
    ),
    TaskEntry(
        "token-classification",
        reads="text",
        answers="entities with their places in the text",
        plugin="service.tasks.token_classification:TokenClassification",
    ),
    TaskEntry(
        "question-answering",
        reads="a question and a passage",
        answers="the passage's words that answer it",
        plugin="service.tasks.question_answering:QuestionAnswering",
    ),
    TaskEntry(
        "sentence-embedding",
        reads="text",
        answers="a vector",
        plugin="service.tasks.sentence_embedding:SentenceEmbedding",
    ),
    TaskEntry(
        "text-similarity",
        reads="two texts",
        answers="a score",
        plugin="service.tasks.text_similarity:TextSimilarity",
    ),
    TaskEntry(
        "text-generation",
        reads="a prompt",
        answers="its continuation",
        plugin="service.tasks.text_generation:TextGeneration",
    ),
    TaskEntry(
        "text-to-text",
        reads="text",
        answers="another text: its translation or summary",
        plugin="service.tasks.text_to_text:TextToText",
    ),
    TaskEntry(
        "image-generation",
        reads="the name of a class",
        answers="a picture of it",
        plugin="service.tasks.image_generation:ImageGeneration",
    ),
    TaskEntry(
        "image-reconstruction",
        reads="a picture, or two to draw between",
        answers="the picture redrawn, e.g. without its noise",
        plugin="service.tasks.image_reconstruction:ImageReconstruction",
    ),
    TaskEntry(
        "tensor",
        reads="numbers, one array per graph input",
        answers="numbers, one array per graph output",
        plugin="service.tasks.tensor:TensorTask",
    ),
):
    register(_entry)
