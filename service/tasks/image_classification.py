"""Image classification: a picture → labels with scores."""

from typing import ClassVar

from service.tasks.classification import ClassificationOptions, ClassificationTask
from service.tasks.picture import Picture, PictureTask


class ImageClassification(PictureTask[ClassificationOptions], ClassificationTask[Picture]):
    name: ClassVar[str] = "image-classification"
