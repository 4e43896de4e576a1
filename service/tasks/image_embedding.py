"""Image embedding: a picture → a vector, and what of the bundle's gallery it is like; or two pictures →
whether they show the same.

An instance is a picture, or two, `image` and `compare_with`.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.bundle import Bundle
from models.gallery import read_gallery
from models.transforms.vectors import cosine, finished, normalised
from service.tasks.base import Answer, OptionInvalid, Prepared, Row, TaskOptions
from service.tasks.picture_pair import PicturePairTask
from service.tasks.vectors import VectorOutput, written


class ImageEmbeddingOptions(TaskOptions):
    """How the answer is wanted."""

    return_vector: bool = Field(
        default=True, description="answer with the vector; of a comparison none is given"
    )
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="numbers, or their little-endian float32 bytes in base64"
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        description="only so many numbers, for models that were trained to be shortened",
    )
    top_k: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="names to return from the model's gallery, most alike first; default: 5 where "
        "there is one",
    )
    threshold: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        description="cosine from which on two pictures show the same; default: the model's",
    )


class GalleryMatch(BaseModel):
    name: str
    cosine: float = Field(description="with the most alike of the name's entries")


class ImageEmbeddingAnswer(BaseModel):
    embedding: list[float] | str | None = Field(
        default=None, description="the vector, or its base64"
    )
    dimensions: int | None = Field(default=None, description="how many numbers it has")
    matches: list[GalleryMatch] | None = Field(
        default=None, description="from the gallery, most alike first"
    )
    cosine: float | None = Field(default=None, description="of two compared pictures")
    is_same: bool | None = Field(
        default=None, description="whether the cosine reaches the threshold, where there is one"
    )
    threshold: float | None = Field(default=None, description="that two pictures were held against")


_DEFAULT_TOP_K = 5


class ImageEmbedding(PicturePairTask[ImageEmbeddingOptions]):
    """Vector float32 [D] of each picture."""

    name: ClassVar[str] = "image-embedding"
    other: ClassVar[str] = "compare_with"
    of_two: ClassVar[str] = "to compare"
    parts: ClassVar[tuple[str, ...]] = ("image", other)
    options: ClassVar[type[TaskOptions]] = ImageEmbeddingOptions
    answer: ClassVar[type[BaseModel]] = ImageEmbeddingAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self._output = VectorOutput(self.manifest)
        self.gallery = read_gallery(bundle, self._output.block, self._output.dimensions)

    @override
    def parse_options(self, given: Mapping[str, object]) -> ImageEmbeddingOptions:
        """Raises OptionInvalid also for what this very model does not have."""
        options = super().parse_options(given)
        self._output.require_dimensions(options.dimensions)
        if options.top_k and self.gallery is None:
            raise OptionInvalid("option 'top_k': this model has no gallery to search in", "top_k")
        return options

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: ImageEmbeddingOptions
    ) -> Answer:
        vectors = [self._output.read(row) for row in rows]
        answer: Answer = dict.fromkeys(ImageEmbeddingAnswer.model_fields)
        if len(vectors) == 2:
            return answer | self._comparison(vectors[0], vectors[1], options)
        if options.return_vector:
            vector = finished(
                vectors[0],
                dimensions=options.dimensions,
                normalise=self._output.block.is_normalised,
            )
            answer["embedding"] = written(vector, options.encoding_format)
            answer["dimensions"] = len(vector)
        top_k = _DEFAULT_TOP_K if options.top_k is None else options.top_k
        if self.gallery is not None and top_k:
            found = self.gallery.search(normalised(vectors[0]), top_k)
            answer["matches"] = [{"name": name, "cosine": value} for name, value in found]
        return answer

    def _comparison(
        self, first: np.ndarray, second: np.ndarray, options: ImageEmbeddingOptions
    ) -> Answer:
        if options.dimensions is not None:
            first, second = first[: options.dimensions], second[: options.dimensions]
        likeness, threshold = float(cosine(first, second)), options.threshold
        if threshold is None:
            threshold = self._output.block.same_threshold
        is_same = None if threshold is None else likeness >= threshold
        return {"cosine": likeness, "is_same": is_same, "threshold": threshold}
