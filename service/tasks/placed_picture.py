"""What detection and segmentation share: they answer in the picture's own pixels, so they keep its size."""

import numpy as np
from typing_extensions import override

from models.transforms.geometry import Placement, placement, untouched
from models.transforms.image import decode_image, to_tensor
from service.tasks.base import OptionsT, Prepared
from service.tasks.picture import Picture, PictureTask


class PlacedPictureTask(PictureTask[OptionsT]):
    """`Prepared.kept` is the Placement of the picture in the graph's input."""

    @override
    def preprocess(self, instance: Picture, options: OptionsT) -> Prepared:
        if isinstance(instance, np.ndarray):
            height, width = instance.shape[-2:]
            return Prepared.one({self.block.input: instance}, untouched((width, height)))
        image = decode_image(instance)
        item = {self.block.input: to_tensor(image, self.block)}
        return Prepared.one(item, placement(image.size, self.block))

    def placed(self, prepared: Prepared) -> Placement:
        assert isinstance(prepared.kept, Placement)
        return prepared.kept
