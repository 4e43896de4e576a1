"""Image generation: the name of a class → a picture of it, the same picture for the same seed."""

import base64
import re
import secrets
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import ClassConditionPreprocessing, ImagePostprocessing
from models.bundle import Bundle
from models.errors import InputError, ManifestInvalid
from models.transforms.image import to_png
from service.tasks.base import Answer, BatchTask, Prepared, Row, TaskOptions
from service.tasks.inputs import read_text
from service.tasks.noise import normal_noise

_MAX_ENLARGEMENT = 64
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


class ImageGenerationOptions(TaskOptions):
    seed: int = Field(
        default_factory=lambda: secrets.randbits(32),
        ge=0,
        lt=2**53,
        description="same seed, same picture; drawn at random, and told, when absent",
    )
    index: int = Field(default=0, ge=0, le=1000, description="which picture of that seed")
    size: str | None = Field(
        default=None,
        max_length=16,
        description="WIDTHxHEIGHT in pixels, a whole multiple of the model's own; default: the model's",
    )


class ImageAnswer(BaseModel):
    image: str = Field(description="PNG in base64", json_schema_extra={"format": "byte"})
    width: int
    height: int
    seed: int
    index: int


class ImageGeneration(BatchTask[str, ImageGenerationOptions]):
    name: ClassVar[str] = "image-generation"
    field: ClassVar[str] = "prompt"
    media_types: ClassVar[tuple[str, ...]] = ("text/plain",)
    is_heavy_to_answer: ClassVar[bool] = True
    options: ClassVar[type[TaskOptions]] = ImageGenerationOptions
    answer: ClassVar[type[BaseModel]] = ImageAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        condition, picture = self.manifest.preprocessing, self.manifest.postprocessing
        if not isinstance(condition, ClassConditionPreprocessing):
            raise ManifestInvalid(f"{self.name} needs class_condition preprocessing")
        if not isinstance(picture, ImagePostprocessing):
            raise ManifestInvalid(f"{self.name} needs image postprocessing")
        self._condition, self._picture = condition, picture
        self.labels = bundle.labels(condition.labels)
        self._index = {label.casefold(): index for index, label in enumerate(self.labels)}
        self._native = self._native_size()

    def read_json(self, value: object) -> str:
        return read_text(str(value) if type(value) is int else value, self.field)

    def preprocess(self, instance: str, options: ImageGenerationOptions) -> Prepared:
        label = self._index.get(instance.strip().casefold())
        if label is None:
            shown = ", ".join(self.labels[:20]) + (", …" if len(self.labels) > 20 else "")
            raise InputError(f"the prompt must be the name of a class: {shown}")
        self._enlargement(options.size)
        noise = normal_noise(options.seed, options.index, self._condition.noise_size)
        return Prepared.one(
            {
                self._condition.label_input: np.asarray(label, dtype=np.int64),
                self._condition.noise_input: noise,
            }
        )

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: ImageGenerationOptions
    ) -> Answer:
        factor = self._enlargement(options.size)
        png = to_png(
            rows[0][self._picture.output], self._picture.model_copy(update={"upscale": factor})
        )
        width, height = self._native
        return {
            "image": base64.b64encode(png).decode(),
            "width": width * factor,
            "height": height * factor,
            "seed": options.seed,
            "index": options.index,
        }

    def instance_schema(self) -> dict[str, object]:
        return {"type": "string", "enum": self.labels, "description": "the class to draw"}

    def example(self) -> object:
        return self.labels[min(7, len(self.labels) - 1)]

    @property
    def sizes(self) -> list[str]:
        """The sizes that may be asked for."""
        width, height = self._native
        return [f"{width * k}x{height * k}" for k in range(1, _MAX_ENLARGEMENT + 1)]

    def _native_size(self) -> tuple[int, int]:
        """(width, height) of the graph's picture, whose last two axes must be sizes."""
        spec = next(s for s in self.manifest.outputs if s.name == self._picture.output)
        height, width = spec.shape[-2:]
        if not isinstance(height, int) or not isinstance(width, int):
            raise ManifestInvalid(f"{self.name}: output {spec.name!r} must have a fixed size")
        return width, height

    def _enlargement(self, size: str | None) -> int:
        if size is None or size == "auto":
            return self._picture.upscale
        match = _SIZE.fullmatch(size)
        width, height = self._native
        if match:
            factor, rest = divmod(int(match[1]), width)
            if rest == 0 and int(match[2]) == height * factor and 1 <= factor <= _MAX_ENLARGEMENT:
                return factor
        largest = f"{width * _MAX_ENLARGEMENT}x{height * _MAX_ENLARGEMENT}"
        raise InputError(
            f"size {size!r} is not possible: take {width}x{height} or a whole multiple of it "
            f"up to {largest}, e.g. {width * 16}x{height * 16}"
        )
