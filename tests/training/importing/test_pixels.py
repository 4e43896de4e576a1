"""An image processor's settings, put into a block, give the very pixels that the library computes."""

from typing import Any

import pytest
import transformers
from PIL import Image

from models.transforms.image import decode_image
from training.errors import DataError
from training.importing.pixels import image_block, pixel_difference
from training.importing.samples import pictures

_PROCESSORS = {
    "stretch": lambda: transformers.ViTImageProcessorPil(size={"height": 24, "width": 40}),
    "stretch, not normalised": lambda: transformers.ViTImageProcessorPil(
        size={"height": 24, "width": 24}, do_normalize=False, resample=3
    ),
    "levels as they are": lambda: transformers.ViTImageProcessorPil(
        size={"height": 24, "width": 24}, do_normalize=False, do_rescale=False
    ),
    "stretched, then cropped": lambda: transformers.DeiTImageProcessorPil(
        size={"height": 40, "width": 40}, crop_size={"height": 32, "width": 32}
    ),
    "shorter side, then cropped": lambda: transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 37}, crop_size={"height": 31, "width": 31}
    ),
    "crop larger than the picture": lambda: transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 20}, crop_size={"height": 32, "width": 30}
    ),
    "crop percentage": lambda: transformers.ConvNextImageProcessorPil(
        size={"shortest_edge": 48}, crop_pct=0.9
    ),
    "too large to crop": lambda: transformers.ConvNextImageProcessorPil(
        size={"shortest_edge": 384}
    ),
    "proportions kept": lambda: transformers.DetrImageProcessorPil(
        size={"shortest_edge": 50, "longest_edge": 90}
    ),
    "one size for masks": lambda: transformers.SegformerImageProcessorPil(
        size={"height": 32, "width": 48}
    ),
}


@pytest.mark.parametrize("name", _PROCESSORS)
def test_pixels_are_the_librarys(name: str) -> None:
    processor = _PROCESSORS[name]()
    block = image_block(processor)
    for what, data in pictures():
        assert pixel_difference(processor, block, decode_image(data)) < 0.01, what


@pytest.mark.parametrize("size", [(300, 299), (299, 300), (50, 50), (51, 400), (3, 200)])
def test_sizes_are_rounded_as_the_library_rounds(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 60).convert("RGB")
    names = ["proportions kept"]
    if max(size) <= 16 * min(size):  # longer lines the server cuts before it enlarges them
        names += ["shorter side, then cropped", "crop percentage"]
    for name in names:
        processor = _PROCESSORS[name]()
        assert pixel_difference(processor, image_block(processor), image) < 0.01, name


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"do_resize": False}, "does not resize"),
        ({"size": {"max_height": 4, "max_width": 5}}, "max_height"),
        ({"image_mean": [0.5], "image_std": [0.5]}, "1 channels instead of 3"),
        ({"resample": 5}, "filter 5"),
    ],
)
def test_what_a_block_cannot_say_is_refused_by_name(
    settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        image_block(transformers.ViTImageProcessorPil(**settings))


def test_a_processor_that_does_more_than_its_settings_say_is_noticed() -> None:
    class Inverting(transformers.ViTImageProcessorPil):
        def rescale(self, image: Any, scale: float, **more: Any) -> Any:
            return 1 - super().rescale(image, scale, **more)

    processor = Inverting(size={"height": 24, "width": 24})
    _, data = pictures()[0]
    assert pixel_difference(processor, image_block(processor), decode_image(data)) > 10
