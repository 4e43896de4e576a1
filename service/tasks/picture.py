"""What all tasks share that are asked about one picture: its forms, and the way to the graph's pixels."""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from models.blocks import ImagePreprocessing
from models.bundle import Bundle
from models.errors import ManifestInvalid
from models.transforms.image import decode_image, to_tensor
from service.tasks.base import BatchTask, OptionsT, Prepared
from service.tasks.examples import golden_item, picture_base64
from service.tasks.inputs import read_file_bytes, read_tensor

Picture = bytes | np.ndarray
"""An encoded picture, or the graph's own input as numbers [C, H, W]."""


class PictureTask(BatchTask[Picture, OptionsT]):
    """A subclass whose answer depends on the picture's own size overrides `preprocess` to keep it."""

    field: ClassVar[str] = "image"
    media_types: ClassVar[tuple[str, ...]] = ("image/png", "image/jpeg", "image/webp")

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        block = self.manifest.preprocessing
        if not isinstance(block, ImagePreprocessing):
            raise ManifestInvalid(f"{self.name} needs image preprocessing, not {block.kind}")
        self.block = block
        self._spec = next(spec for spec in self.manifest.inputs if spec.name == block.input)

    def read_json(self, value: object) -> Picture:
        return read_tensor(value, self._spec) if isinstance(value, list) else read_file_bytes(value)

    def read_bytes(self, data: bytes) -> Picture:
        return data

    @override
    def is_heavy(self, instance: Picture) -> bool:
        return isinstance(instance, bytes)  # a picture of few bytes may have millions of pixels

    @override
    def preprocess(self, instance: Picture, options: OptionsT) -> Prepared:
        if isinstance(instance, np.ndarray):
            return Prepared.one({self.block.input: instance})
        return Prepared.one({self.block.input: to_tensor(decode_image(instance), self.block)})

    def instance_schema(self) -> dict[str, object]:
        return {
            "type": "string",
            "format": "byte",
            "description": "PNG, JPEG or WEBP in base64 (a data URL will do)",
        }

    def example(self) -> object:
        return picture_base64(golden_item(self.bundle), self.block)
