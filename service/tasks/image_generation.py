"""Image generation: the name of a class → a picture of it, the same picture for the same seed.

A model draws in one run of its graph, or, as diffusion models do, in a loop of them. A prompt may also be
words of class names made of several (`red circle` for the classes `red_circle_large` and
`red_circle_small`): what it leaves open is chosen by the seed.
"""

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import ClassConditionPreprocessing, DiffusionPreprocessing, ImagePostprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, InputError, ManifestInvalid
from models.transforms.image import to_png
from models.transforms.interpolation import between, shares
from service.tasks.base import Answer, BatchTask, OptionInvalid, Prepared, Row, TaskOptions
from service.tasks.denoising import DenoisingLoop
from service.tasks.drawing_size import PictureSize
from service.tasks.inputs import read_text
from service.tasks.noise import choice, normal_noise

MAX_FRAMES = 64
_BETWEEN_WORDS = re.compile(r"[\s,;:/_.-]+")
_MOST_PROMPT_CHARACTERS = 1_000
_DIFFUSION_ONLY = ("steps", "guidance_scale", "sampler")


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
    steps: int | None = Field(
        default=None, ge=1, description="diffusion models: denoising steps; default: the model's"
    )
    guidance_scale: float | None = Field(
        default=None,
        ge=0,
        description="diffusion models: how far the class is followed, 1 as learned, above that clearer and "
        "less varied; default: the model's",
    )
    sampler: Literal["euler", "heun"] | None = Field(
        default=None,
        description="diffusion models: euler runs the graph once a step, heun twice; default: the model's",
    )
    interpolate_to: int | None = Field(
        default=None,
        ge=0,
        lt=2**53,
        description="models that draw in one run: a second seed; the answer is a strip of pictures from the "
        "first seed's to this one's",
    )
    frames: int = Field(
        default=8, ge=2, le=MAX_FRAMES, description="pictures of the strip, both ends included"
    )


class ImageAnswer(BaseModel):
    image: str = Field(description="PNG in base64", json_schema_extra={"format": "byte"})
    width: int
    height: int
    label: str = Field(description="the class that was drawn")
    seed: int
    index: int


class ImageGeneration(BatchTask[str, ImageGenerationOptions]):
    """`Prepared.kept` is the number of the class."""

    name: ClassVar[str] = "image-generation"
    field: ClassVar[str] = "prompt"
    media_types: ClassVar[tuple[str, ...]] = ("text/plain",)
    is_heavy_to_answer: ClassVar[bool] = True
    options: ClassVar[type[TaskOptions]] = ImageGenerationOptions
    answer: ClassVar[type[BaseModel]] = ImageAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        condition, picture = self.manifest.preprocessing, self.manifest.postprocessing
        if not isinstance(condition, ClassConditionPreprocessing | DiffusionPreprocessing):
            raise ManifestInvalid(f"{self.name} needs class_condition or diffusion preprocessing")
        if not isinstance(picture, ImagePostprocessing):
            raise ManifestInvalid(f"{self.name} needs image postprocessing")
        self._condition, self._picture = condition, picture
        self.labels = bundle.labels(condition.labels)
        self._index = {label.casefold(): index for index, label in enumerate(self.labels)}
        self._words = [_words(label) for label in self.labels]
        self._size = PictureSize(self.manifest, picture.output, picture.upscale)
        self._noise_shape = self._shape_of_noise()

    @property
    def diffusion(self) -> DiffusionPreprocessing | None:
        """None for models that draw in one run."""
        return self._condition if isinstance(self._condition, DiffusionPreprocessing) else None

    @override
    def parse_options(self, given: Mapping[str, object]) -> ImageGenerationOptions:
        """Raises OptionInvalid also for what this very model does not have."""
        options = super().parse_options(given)
        block = self.diffusion
        if block is None:
            for name in _DIFFUSION_ONLY:
                if getattr(options, name) is not None:
                    raise OptionInvalid(f"option {name!r}: this model draws in one run", name)
            return options
        if options.interpolate_to is not None:
            raise OptionInvalid(
                "option 'interpolate_to': only models that draw in one run go from seed to seed",
                "interpolate_to",
            )
        for name, most in (
            ("steps", block.max_steps),
            ("guidance_scale", block.max_guidance_scale),
        ):
            value = getattr(options, name)
            if value is not None and value > most:
                raise OptionInvalid(f"option {name!r}: at most {most:g} for this model", name)
        return options

    def read_json(self, value: object) -> str:
        return read_text(str(value) if type(value) is int else value, self.field)

    def preprocess(self, instance: str, options: ImageGenerationOptions) -> Prepared:
        label = self._label(instance, options)
        self._enlargement(options)
        noise = self._noise(options.seed, options.index)
        condition = self._condition
        if isinstance(condition, DiffusionPreprocessing):
            return Prepared((), label, self._loop(condition, noise, label, options))
        noises = [noise]
        if options.interpolate_to is not None:
            end = self._noise(options.interpolate_to, options.index)
            noises = [between(noise, end, share) for share in shares(options.frames)]
        items = [{condition.noise_input: each} for each in noises]
        if condition.label_input is not None:
            for item in items:
                item[condition.label_input] = np.asarray(label, dtype=np.int64)
        return Prepared(tuple(items), label)

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: ImageGenerationOptions
    ) -> Answer:
        """Several rows become a strip, from left to right."""
        factor = self._enlargement(options)
        pixels = np.concatenate([row[self._picture.output] for row in rows], axis=-1)
        if not np.isfinite(pixels).all():
            raise InferenceFailed("the model's answer to this input is not a number")
        png = to_png(pixels, self._picture.model_copy(update={"upscale": factor}))
        return {
            "image": base64.b64encode(png).decode(),
            "width": pixels.shape[-1] * factor,
            "height": pixels.shape[-2] * factor,
            "label": self.labels[prepared.kept],
            "seed": options.seed,
            "index": options.index,
        }

    def instance_schema(self) -> dict[str, object]:
        return {"type": "string", "enum": self.labels, "description": "the class to draw"}

    def example(self) -> object:
        return self.labels[min(7, len(self.labels) - 1)]

    def _label(self, prompt: str, options: ImageGenerationOptions) -> int:
        """The number of the class with that name, or of one that has all the prompt's words."""
        label = self._index.get(prompt.strip().casefold())
        if label is not None:
            return label
        words = _words(prompt[:_MOST_PROMPT_CHARACTERS])
        fitting = [index for index, own in enumerate(self._words) if words and words <= own]
        if not fitting or len(prompt) > _MOST_PROMPT_CHARACTERS:
            shown = ", ".join(self.labels[:20]) + (", …" if len(self.labels) > 20 else "")
            raise InputError(f"the prompt must be the name of a class: {shown}")
        return fitting[choice(options.seed, options.index, len(fitting))]

    def _loop(
        self,
        block: DiffusionPreprocessing,
        noise: np.ndarray,
        label: int,
        options: ImageGenerationOptions,
    ) -> DenoisingLoop:
        guidance = options.guidance_scale
        return DenoisingLoop(
            block,
            noise,
            label,
            steps=options.steps or block.steps,
            sampler=options.sampler or block.sampler,
            guidance_scale=block.guidance_scale if guidance is None else guidance,
            output=self._picture.output,
        )

    def _noise(self, seed: int, index: int) -> np.ndarray:
        return normal_noise(seed, index, int(np.prod(self._noise_shape))).reshape(self._noise_shape)

    def _shape_of_noise(self) -> tuple[int, ...]:
        condition = self._condition
        if isinstance(condition, ClassConditionPreprocessing):
            return (condition.noise_size,)
        wanted = (
            condition.picture_input,
            condition.time_input,
            condition.label_input,
            condition.guidance_input,
        )
        given = {spec.name: spec.shape[1:] for spec in self.manifest.inputs}
        drawn = next(s for s in self.manifest.outputs if s.name == self._picture.output).shape[1:]
        if set(wanted) != set(given) or given[condition.picture_input] != drawn:
            raise ManifestInvalid(
                f"{self.name}: a diffusion graph takes {', '.join(wanted)}, and gives what has the shape of "
                f"{condition.picture_input}"
            )
        return tuple(axis for axis in drawn if isinstance(axis, int))

    def _enlargement(self, options: ImageGenerationOptions) -> int:
        frames = 1 if options.interpolate_to is None else options.frames
        return self._size.enlargement(options.size, frames)


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in _BETWEEN_WORDS.split(text.casefold()) if word)
