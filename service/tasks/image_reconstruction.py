"""Image reconstruction: a picture → the same without its noise, or as a narrow middle lets it through.

An instance is a picture, or two, `image` and `interpolate_to`, where the model draws what lies between; the
answer is then a strip of pictures from the first to the second.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import ReconstructionPostprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, InputError, ManifestInvalid
from models.transforms.image import to_png
from models.transforms.interpolation import shares
from service.tasks.base import Answer, Item, OptionInvalid, Prepared, Row, TaskOptions
from service.tasks.drawing_size import PictureSize
from service.tasks.image_generation import MAX_FRAMES
from service.tasks.noise import normal_noise
from service.tasks.picture import Picture
from service.tasks.picture_pair import PicturePair, PicturePairTask


class ImageReconstructionOptions(TaskOptions):
    size: str | None = Field(
        default=None,
        max_length=16,
        description="WIDTHxHEIGHT in pixels, a whole multiple of the model's own; default: the model's",
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="models that take noise away: put so much on the picture first, as a deviation of "
        "values in 0–1, to see what becomes of it",
    )
    seed: int = Field(default=0, ge=0, lt=2**53, description="of the noise")
    frames: int = Field(
        default=8, ge=2, le=MAX_FRAMES, description="between two pictures, both included"
    )


class ImageReconstructionAnswer(BaseModel):
    image: str = Field(description="PNG in base64", json_schema_extra={"format": "byte"})
    width: int
    height: int
    seed: int
    given: str | None = Field(
        default=None,
        description="where noise was put on the picture: what the model was given, PNG in base64",
        json_schema_extra={"format": "byte"},
    )


class ImageReconstruction(PicturePairTask[ImageReconstructionOptions]):
    """`Prepared.kept` is the picture with noise put on it, float32 [C, H, W] in 0–1, or None."""

    name: ClassVar[str] = "image-reconstruction"
    other: ClassVar[str] = "interpolate_to"
    of_two: ClassVar[str] = "to draw between"
    parts: ClassVar[tuple[str, ...]] = ("image", other)
    is_heavy_to_answer: ClassVar[bool] = True
    options: ClassVar[type[TaskOptions]] = ImageReconstructionOptions
    answer: ClassVar[type[BaseModel]] = ImageReconstructionAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        marks = self.manifest.postprocessing
        if not isinstance(marks, ReconstructionPostprocessing):
            raise ManifestInvalid(f"{self.name} needs reconstruction postprocessing")
        self._marks, self._picture = marks, marks.picture
        wanted = {self.block.input, marks.second_input, marks.mix_input} - {None}
        if wanted != {spec.name for spec in self.manifest.inputs}:
            raise ManifestInvalid(
                f"{self.name}: the graph's inputs must be {sorted(map(str, wanted))}"
            )
        self._size = PictureSize(self.manifest, self._picture.output, self._picture.upscale)
        channels = (-1, 1, 1)
        self._mean = np.asarray(self.block.mean, np.float32).reshape(channels)
        self._std = np.asarray(self.block.std, np.float32).reshape(channels)

    @override
    def parse_options(self, given: Mapping[str, object]) -> ImageReconstructionOptions:
        """Raises OptionInvalid also for what this very model does not do."""
        options = super().parse_options(given)
        if options.noise and not self._marks.noise_level:
            raise OptionInvalid(
                "option 'noise': this model was not taught to take noise away", "noise"
            )
        return options

    @override
    def preprocess(
        self, instance: Picture | PicturePair, options: ImageReconstructionOptions
    ) -> Prepared:
        frames = options.frames if isinstance(instance, PicturePair) else 1
        self._size.enlargement(options.size, frames)
        if isinstance(instance, PicturePair):
            if self._marks.second_input is None:
                raise InputError(f"this model takes one picture, no {self.other!r}")
            if options.noise:
                raise InputError("noise is put on single pictures only")
        images = [item[self.block.input] for item in super().preprocess(instance, options).items]
        kept = None
        if options.noise:
            noise = normal_noise(options.seed, 0, images[0].size).reshape(images[0].shape)
            images[0] = images[0] + np.float32(options.noise) * noise / self._std
            kept = images[0] * self._std + self._mean
        return Prepared(tuple(self._item(images, share) for share in shares(frames)), kept)

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: ImageReconstructionOptions
    ) -> Answer:
        """Several rows become a strip, from left to right."""
        pixels = np.concatenate([row[self._picture.output] for row in rows], axis=-1)
        if not np.isfinite(pixels).all():
            raise InferenceFailed("the model's answer to this input is not a number")
        factor = self._size.enlargement(options.size, len(rows))
        block = self._picture.model_copy(update={"upscale": factor})
        given = None
        if prepared.kept is not None:
            shown = block.model_copy(update={"low": 0.0, "high": 1.0})
            given = base64.b64encode(to_png(prepared.kept, shown)).decode()
        return {
            "image": base64.b64encode(to_png(pixels, block)).decode(),
            "width": pixels.shape[-1] * factor,
            "height": pixels.shape[-2] * factor,
            "seed": options.seed,
            "given": given,
        }

    @override
    def instance_schema(self) -> dict[str, object]:
        if self._marks.second_input is not None:
            return super().instance_schema()
        return super(PicturePairTask, self).instance_schema()

    def _item(self, images: Sequence[np.ndarray], share: float) -> Item:
        item = {self.block.input: images[0]}
        if self._marks.second_input is not None and self._marks.mix_input is not None:
            item[self._marks.second_input] = images[-1]
            item[self._marks.mix_input] = np.asarray(share, np.float32)
        return item
