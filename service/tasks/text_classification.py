"""Text classification: a text → labels with scores."""

from typing import ClassVar

from service.tasks.base import TaskOptions
from service.tasks.classification import ClassificationOptions, ClassificationTask
from service.tasks.text import TextOptions, TextTask


class TextClassificationOptions(ClassificationOptions, TextOptions):
    """How many labels, and whether to cut."""


class TextClassification(TextTask[TextClassificationOptions], ClassificationTask[str]):
    name: ClassVar[str] = "text-classification"
    options: ClassVar[type[TaskOptions]] = TextClassificationOptions
