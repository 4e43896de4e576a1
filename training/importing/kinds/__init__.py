"""Kinds of work that a checkpoint can be imported as, by the task that the manifest will name.

The table holds names only: listing it imports nothing heavy.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from models.errors import UsageError

if TYPE_CHECKING:
    from training.importing.checkpoint import Checkpoint
    from training.importing.kind import ImportKind


@dataclass(frozen=True)
class KindEntry:
    """`head` is how the names of its architectures end, if that tells it; `plugin` is `module:Class`."""

    task: str
    head: str | tuple[str, ...]
    plugin: str


_HERE = "training.importing.kinds"
KINDS = (
    KindEntry(
        "text-classification",
        "ForSequenceClassification",
        f"{_HERE}.text_classification:TextClassificationKind",
    ),
    KindEntry(
        "token-classification",
        "ForTokenClassification",
        f"{_HERE}.token_classification:TokenClassificationKind",
    ),
    KindEntry(
        "question-answering",
        "ForQuestionAnswering",
        f"{_HERE}.question_answering:QuestionAnsweringKind",
    ),
    KindEntry(
        "text-generation",
        ("ForCausalLM", "LMHeadModel"),
        f"{_HERE}.text_generation:TextGenerationKind",
    ),
    KindEntry("text-similarity", "", f"{_HERE}.text_similarity:TextSimilarityKind"),
    KindEntry("sentence-embedding", "", f"{_HERE}.sentence_embedding:SentenceEmbeddingKind"),
    KindEntry(
        "image-classification",
        "ForImageClassification",
        f"{_HERE}.image_classification:ImageClassificationKind",
    ),
    KindEntry(
        "object-detection",
        "ForObjectDetection",
        f"{_HERE}.object_detection:ObjectDetectionKind",
    ),
    KindEntry(
        "semantic-segmentation",
        "ForSemanticSegmentation",
        f"{_HERE}.semantic_segmentation:SemanticSegmentationKind",
    ),
)


def kind_class(task: str) -> "type[ImportKind]":
    """Raises UsageError, listing the known ones."""
    entry = next((entry for entry in KINDS if entry.task == task), None)
    if entry is None:
        known = ", ".join(entry.task for entry in KINDS)
        raise UsageError(f"--task {task}: cannot be imported; known: {known}, or auto")
    module, _, name = entry.plugin.partition(":")
    return cast("type[ImportKind]", getattr(importlib.import_module(module), name))


def task_of(checkpoint: "Checkpoint") -> str:
    """What the checkpoint's own files say it is for. Raises UsageError naming the remedy."""
    if checkpoint.is_sentence_transformer and not checkpoint.architecture.endswith(_SEQUENCE):
        return "sentence-embedding"
    architecture = checkpoint.architecture
    if architecture.endswith(_SEQUENCE) and _outputs(checkpoint) == 1:
        return "text-similarity"
    for entry in KINDS:
        if entry.head and architecture.endswith(entry.head):
            return entry.task
    raise UsageError(
        f"{checkpoint.source}: its architecture is {architecture or 'not named'}, which tells no task; "
        f"say which with --task ({', '.join(entry.task for entry in KINDS)})"
    )


_SEQUENCE = "ForSequenceClassification"


def _outputs(checkpoint: "Checkpoint") -> int:
    named = checkpoint.config.get("id2label")
    if isinstance(named, dict):
        return len(named)
    number = checkpoint.config.get("num_labels", 2)
    return number if isinstance(number, int) else 2
