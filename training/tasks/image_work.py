"""What every kind of work on labelled pictures does alike: reading, splitting, feeding them."""

from typing import Any, TypeVar

from torch.utils.data import DataLoader

from training.data.digits import read_digits
from training.data.image_source import PreparedImages, prepare_images
from training.data.images import ImageData, ImageSplit
from training.data.loaders import array_loader
from training.tasks.image_settings import ImageRunConfig
from training.work import Work

ImageConfigT = TypeVar("ImageConfigT", bound=ImageRunConfig)


class ImageWork(Work[ImageConfigT]):
    """One run. `prepare` must come first."""

    images: PreparedImages

    def prepare(self) -> None:
        config = self.config
        self.images = prepare_images(
            self.data, config.image, config.validation_fraction, config.seed, self.own_pictures
        )

    def own_pictures(self) -> ImageData:
        """What is learned without `--data`."""
        return read_digits()

    def data_summary(self) -> dict[str, str]:
        return self.images.summary()

    def data_sha256(self) -> str:
        return self.images.data.sha256

    def train_loader(self) -> DataLoader[Any]:
        return self._loader(self.images.train, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return self._loader(self.images.validation, shuffle=False)

    def _loader(self, split: ImageSplit, *, shuffle: bool) -> DataLoader[Any]:
        return array_loader(
            split.pixels, split.labels, batch_size=self.config.batch_size, shuffle=shuffle
        )
