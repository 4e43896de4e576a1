"""What all imports that read pictures share: the image processor, tensors, sample inputs.

Letters: B batch, C channels, H height, W width.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from models.blocks import ImagePreprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from models.transforms.image import decode_image, to_tensor
from training.checkpoints import load_module
from training.errors import GateFailed
from training.importing.kind import ImportKind
from training.importing.library import load_image_processor, quiet_library
from training.importing.pixels import image_block, pixel_difference
from training.importing.samples import pictures
from training.work import Arrays, ExportPlan

# Of a pixel's 255 levels; the promise of preprocessing is one.
_LARGEST_PIXEL_DIFFERENCE = 1.0
# Where a graph takes any size; a thinner picture leaves deep networks nothing to look at.
_LEAST_SIDE = 16


class PictureHead(nn.Module):
    """pixels float [B, C, H, W] → the members `outputs` of what the library's network answers, each passed
    through `activation`."""

    def __init__(
        self,
        network: nn.Module,
        outputs: tuple[str, ...] = ("logits",),
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._outputs = outputs
        self.activation = activation or nn.Identity()

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        answer = self.network(pixel_values=image)
        found = tuple(self.activation(getattr(answer, name)) for name in self._outputs)
        return found[0] if len(found) == 1 else found


class PictureKind(ImportKind):
    """A subclass names the library's class and says what comes after the graph."""

    library: ClassVar[str] = "transformers' pipeline"
    largest_batch: ClassVar[int] = 16
    auto_class: ClassVar[str] = ""

    processor: Any
    network: Any
    block: ImagePreprocessing

    @override
    def read(self) -> None:
        import transformers

        folder = self.checkpoint.folder
        self.processor = load_image_processor(folder)
        self.block = image_block(self.processor)
        self._require_same_pixels()
        self.network = load_module(getattr(transformers, self.auto_class), folder)
        self.module = self.head()

    def head(self) -> nn.Module:
        return PictureHead(self.network)

    @property
    @override
    def preprocessing(self) -> ImagePreprocessing:
        return self.block

    @override
    def summary(self) -> dict[str, str]:
        block = self.block
        source = f" from {'×'.join(map(str, block.crop_from))}" if block.crop_from else ""
        return {
            "pictures": f"{block.height}×{block.width}, {block.fit}{source}, {block.interpolation}"
        }

    @override
    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Photographs as preprocessing leaves them. Where the graph takes any size, each number of them
        comes at a size of its own."""
        if self.block.fit == "keep":
            return {self.block.input: self._of_any_size(batch, 1 if batch == 1 else 2)}
        tensors = [to_tensor(decode_image(data), self.block) for _, data in pictures()]
        chosen = [tensors[index] for index in np.resize(np.arange(len(tensors)), batch)]
        return {self.block.input: np.stack(chosen)}

    @override
    def golden_inputs(self) -> Arrays:
        """Small where the graph takes any size: the exam is a file that every server reads."""
        if self.block.fit == "keep":
            return {self.block.input: self._of_any_size(3, 4)}
        return super().golden_inputs()

    def _of_any_size(self, batch: int, shrink: int) -> np.ndarray:
        """One photograph, upright for odd numbers, and its mirror images."""
        sides = {name: max(1, getattr(self.block, name) // shrink) for name in ("height", "width")}
        _, data = pictures()[batch % 2]
        pixels = to_tensor(decode_image(data), self.block.model_copy(update=sides))
        views = (pixels, pixels[:, :, ::-1], pixels[:, ::-1])
        return np.stack([views[index % 3] for index in range(batch)])

    def input_spec(self) -> TensorSpec:
        sides: tuple[int | str, int | str] = (self.block.height, self.block.width)
        if self.block.fit == "keep":
            sides = ("height", "width")
        return TensorSpec(name=self.block.input, dtype=DataType.FLOAT, shape=("batch", 3, *sides))

    def output_specs(self) -> tuple[TensorSpec, ...]:
        raise AssertionError("a subclass says what its graph answers")

    @override
    def plan(self) -> ExportPlan:
        any_side = (_LEAST_SIDE, max(self.block.height, self.block.width))
        limits = {"height": any_side, "width": any_side} if self.block.fit == "keep" else {}
        return ExportPlan(
            self.module, (self.input_spec(),), self.output_specs(), axis_limits=limits
        )

    def shape_of(self, output: str) -> tuple[int, ...]:
        """Of the network's answer to one picture, without the batch axis."""
        with torch.inference_mode():
            answer = self.network(pixel_values=torch.from_numpy(self._one()))
        return tuple(getattr(answer, output).shape[1:])

    def _one(self) -> np.ndarray:
        if self.block.fit == "keep":
            return self._of_any_size(1, 4)
        return self.sample_inputs(1, None)[self.block.input]

    def pixels_of(self, data: bytes) -> Arrays:
        """One encoded picture as a batch of one."""
        return {self.block.input: to_tensor(decode_image(data), self.block)[None]}

    def _require_same_pixels(self) -> None:
        for name, data in pictures():
            with quiet_library():
                gap = pixel_difference(self.processor, self.block, decode_image(data))
            if not gap <= _LARGEST_PIXEL_DIFFERENCE:
                raise GateFailed(
                    f"library-parity: {type(self.processor).__name__} makes other pixels of the {name} "
                    f"than the server would (by {gap:.3g} of 255 levels); nothing was published"
                )
