"""Examples that work when pressed, taken from the golden exam: real held-out inputs of this very model."""

import base64
import io
import logging

import numpy as np
from PIL import Image

from models.blocks import ImagePreprocessing
from models.bundle import Bundle
from models.datatypes import BY_ONNX
from models.errors import IntegrityError
from models.golden import Golden
from models.manifest import GOLDEN_FILE, TensorSpec
from service.tasks.inputs import item_shape

_log = logging.getLogger("slipway.tasks")

# Named axes of an example that has to be made up: long enough to show that the axis is free.
_MADE_UP_AXIS = 4
_MOST_NUMBERS = 4096


def golden_item(bundle: Bundle) -> dict[str, np.ndarray]:
    """The first item of the exam's inputs, without batch axis; empty when the bundle has no exam."""
    if GOLDEN_FILE not in bundle.manifest.files:
        return {}
    try:
        inputs = Golden.from_bytes(bundle.read(GOLDEN_FILE)).inputs
    except IntegrityError as error:
        # The loader judges the exam and refuses the model; an example is not worth failing for.
        _log.warning("no example for %s: %s", bundle.name, error.message)
        return {}
    specs = {spec.name: spec for spec in bundle.manifest.inputs}
    return {
        name: np.take(array, 0, axis=specs[name].batch_axis or 0)
        for name, array in inputs.items()
        if name in specs and array.ndim
    }


def made_up_item(specs: tuple[TensorSpec, ...]) -> dict[str, np.ndarray]:
    """Zeros (or empty strings) of the declared shapes: valid, if not interesting."""
    item = {}
    for spec in specs:
        shape = [axis if isinstance(axis, int) else _MADE_UP_AXIS for axis in item_shape(spec)]
        dtype = BY_ONNX[spec.dtype].numpy
        item[spec.name] = np.full(shape, "" if dtype.kind == "O" else 0, dtype=dtype)
    return item


def picture_base64(item: dict[str, np.ndarray], block: ImagePreprocessing) -> str:
    """The PNG, in base64, that preprocessing turns into the item's pixels; grey when there are none."""
    pixels = item.get(block.input)
    if pixels is None or pixels.ndim != 3:
        return _png_base64(np.full((block.height, block.width, 3), 128, np.uint8))
    std, mean = np.asarray(block.std), np.asarray(block.mean)
    values = (pixels.transpose(1, 2, 0) * std + mean) / block.scale
    levels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return _png_base64(levels[:, :, ::-1] if block.channel_order == "BGR" else levels)


def _png_base64(levels: np.ndarray) -> str:
    image = Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)
    out = io.BytesIO()
    image.save(out, format="PNG")
    return base64.b64encode(out.getvalue()).decode()


def v2_example(bundle: Bundle) -> dict[str, object] | None:
    """A V2 request body in JSON; None when it would be too long to read, or cannot be said in JSON."""
    specs = bundle.manifest.inputs
    item = golden_item(bundle)
    if item.keys() != {spec.name for spec in specs}:
        item = made_up_item(specs)
    sayable = all(spec.dtype != "BFLOAT16" for spec in specs)
    if not sayable or sum(array.size for array in item.values()) > _MOST_NUMBERS:
        return None
    inputs = []
    for spec in specs:
        array = item[spec.name]
        if spec.batch_axis is not None:
            array = np.expand_dims(array, spec.batch_axis)
        inputs.append(
            {
                "name": spec.name,
                "shape": list(array.shape),
                "datatype": BY_ONNX[spec.dtype].v2,
                "data": array.ravel().tolist(),
            }
        )
    return {"inputs": inputs}
