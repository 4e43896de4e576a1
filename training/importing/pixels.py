"""An image processor of transformers, put into the words of a preprocessing block.

The block is tried on real pictures before anything else is done (`pixel_difference`): a processor that
does more than a block can say is refused there, by name.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from models.blocks import ImagePreprocessing
from models.transforms.image import to_tensor
from training.errors import DataError

# Pillow's numbers for its filters, which preprocessor_config.json holds.
_INTERPOLATIONS = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
}
# ConvNeXT's processor (ResNet's too) crops smaller sizes, and stretches to larger ones.
_CROPS_BELOW = 384


def image_block(processor: Any, input_name: str = "image") -> ImagePreprocessing:
    """Raises DataError naming what cannot be said."""
    geometry = _convnext(processor) if hasattr(processor, "crop_pct") else _geometry(processor)
    resample = int(_get(processor, "resample", 2))
    if resample not in _INTERPOLATIONS:
        raise _refused(processor, f"resamples by Pillow's filter {resample}")
    scale = float(_get(processor, "rescale_factor", 1 / 255))
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if _get(processor, "do_normalize", True):
        mean, std = tuple(map(float, processor.image_mean)), tuple(map(float, processor.image_std))
    if len(mean) != 3 or len(std) != 3:
        raise _refused(processor, f"has mean and std for {len(mean)} channels instead of 3")
    return ImagePreprocessing(
        input=input_name,
        channel_order="BGR" if _get(processor, "do_flip_channel_order", False) else "RGB",
        scale=scale if _get(processor, "do_rescale", True) else 1.0,
        mean=mean,
        std=std,
        interpolation=_INTERPOLATIONS[resample],
        **geometry,
    )


def library_pixels(processor: Any, image: Image.Image) -> np.ndarray:
    """float [C, H, W] as the library's pipelines compute them."""
    upright = ImageOps.exif_transpose(image).convert("RGB")
    found = processor(images=upright, return_tensors="np")["pixel_values"]
    pixels: np.ndarray = np.asarray(found)[0]
    return pixels


def pixel_difference(processor: Any, block: ImagePreprocessing, image: Image.Image) -> float:
    """The largest, in levels of 255; infinite where sizes differ."""
    theirs, ours = library_pixels(processor, image), to_tensor(image, block)
    if theirs.shape != ours.shape:
        return float("inf")
    gap = np.abs(theirs.astype(np.float64) - ours).max(axis=(1, 2))
    return float((gap * np.asarray(block.std) / block.scale).max())


def _geometry(processor: Any) -> dict[str, Any]:
    if not _get(processor, "do_resize", True):
        raise _refused(processor, "does not resize, so the graph would have to take any size")
    size = _sizes(processor.size)
    crop = _sizes(processor.crop_size) if _get(processor, "do_center_crop", False) else {}
    if not crop and {"shortest_edge", "longest_edge"} <= size.keys():
        sides = {"height": size["shortest_edge"], "width": size["longest_edge"]}
        return {**sides, "fit": "keep"}
    if "shortest_edge" in size and "longest_edge" not in size and _is_box(crop):
        return {**crop, "fit": "crop", "crop_from": (size["shortest_edge"],)}
    if _is_box(size) and _is_box(crop):
        return {**crop, "fit": "crop", "crop_from": (size["height"], size["width"])}
    if _is_box(size) and not crop:
        return {**size, "fit": "stretch"}
    raise _refused(processor, f"resizes to {size}{f' and crops to {crop}' if crop else ''}")


def _convnext(processor: Any) -> dict[str, Any]:
    size = _sizes(processor.size)
    side = size.get("shortest_edge")
    if side is None or _get(processor, "do_center_crop", False):
        return _geometry(processor)
    box = {"height": side, "width": side}
    if side >= _CROPS_BELOW:
        return {**box, "fit": "stretch"}
    return {**box, "fit": "crop", "crop_from": (int(side / processor.crop_pct),)}


def _sizes(size: Any) -> dict[str, int]:
    """The members that are set, whatever kind of mapping the library keeps them in."""
    items = size.items() if isinstance(size, Mapping) else vars(size).items()
    return {str(name): int(value) for name, value in items if value}


def _is_box(size: dict[str, int]) -> bool:
    return size.keys() == {"height", "width"}


def _get(processor: Any, name: str, default: Any) -> Any:
    found = getattr(processor, name, None)
    return default if found is None else found


def _refused(processor: Any, does: str) -> DataError:
    return DataError(
        f"preprocessor_config.json: {type(processor).__name__} {does}; such pictures cannot be made by "
        "the server"
    )
