"""A picture on its way out of noise: one caller's loop over the denoising graph of a diffusion model."""

import numpy as np
from typing_extensions import override

from models.blocks import DiffusionPreprocessing
from models.errors import InferenceFailed
from models.transforms.diffusion import Denoising
from service.tasks.base import Item, Loop, Row

# Elements of a picture whose step takes about as long as handing it to a thread.
_INLINE_ELEMENTS = 50_000


class DenoisingLoop(Loop):
    """`noise` float32 [C, H, W]; `output` is the graph's, which `rows` give the picture under."""

    def __init__(
        self,
        block: DiffusionPreprocessing,
        noise: np.ndarray,
        label: int,
        *,
        steps: int,
        sampler: str,
        guidance_scale: float,
        output: str,
    ) -> None:
        self._block, self._output = block, output
        self._way = Denoising(noise, block, steps, sampler)
        self._label = np.asarray(label, np.int64)
        self._guidance = np.asarray(guidance_scale, np.float32)
        self.steps = steps
        self.is_heavy = noise.size > _INLINE_ELEMENTS

    @property
    def step(self) -> int:  # type: ignore[override]  # counted in one place only
        return self._way.step

    @override
    def item(self) -> Item:
        block = self._block
        return {
            block.picture_input: self._way.x,
            block.time_input: np.asarray(self._way.t, np.float32),
            block.label_input: self._label,
            block.guidance_input: self._guidance,
        }

    @override
    def take(self, row: Row) -> None:
        answer = row[self._output]
        if not np.isfinite(answer).all():
            raise InferenceFailed("the model's answer to this input is not a number")
        self._way.advance(answer)

    @override
    def rows(self) -> list[Row]:
        return [{self._output: self._way.x}]

    def preview(self) -> list[Row]:
        """The picture as it is foreseen at this step."""
        return [{self._output: self._way.preview}]
