"""Pictures: bytes → Pillow image → tensor, and tensor → PNG. Letters: C channels, H height, W width.

Only JPEG, PNG and WEBP are opened: with every format of Pillow allowed, hostile files reach ten times
the memory. Transparency is laid on white, as a page shows it. EXIF orientation is applied; a broken EXIF
block turns nothing, as in browsers.

JPEG's draft mode (decoding at 1/2, 1/4 or 1/8 of the size) is not used, because a picture would not be the
same within 1/255. Measured with Pillow 13.0 on 2048×1536 pixels made for 224: differences up to 53 levels
when drafted as small as allowed, up to 28 at twice that. Only far below an eighth (2048 to 32) it is 1 or 2.
It would have saved 8 to 20 % of a photograph's time: most goes into entropy decoding, which stays whole.
"""

import io
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps

from models.blocks import ImagePostprocessing, ImagePreprocessing
from models.errors import ImageError, ImageTooLarge

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 25_000_000

# A progressive JPEG is decoded once over for each of its scans, and a scan can be a dozen bytes: 115 KB of
# them took 42 s. Encoders write about ten; these bounds stay within four seconds.
_MOST_SCANS = 100
_MOST_SCANNED_PIXELS = 20 * MAX_PIXELS
_SCANNED = ("JPEG", "MPO")  # MPO: the name that Pillow gives to a JPEG with further ones behind it
_START_OF_SCAN = b"\xff\xda"  # never within compressed data, where FF is followed by 00

# Content differs from the border by more than this part of the largest difference, and by more than
# a compressed picture's noise (of 255).
_CONTENT_CONTRAST = 0.4
_LEAST_CONTRAST = 24

_MOST_ELONGATED = 16

_RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow tells of broken metadata by warnings, which would fill the log at a caller's pleasure.
warnings.filterwarnings("ignore", module=r"PIL\.")
# Our own limit is far below Pillow's and is checked before any pixel is decoded.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An upright picture in mode L or RGB.

    Raises ImageError (not a JPEG, PNG or WEBP, or damaged) and ImageTooLarge (more than `max_pixels`, or
    a JPEG of more scans than anybody needs).
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"the picture has more than {max_pixels:,} pixels") from error
    except Exception as error:  # OSError, ValueError, SyntaxError, …: the caller is told one
        raise ImageError(f"not a picture that can be read; send {', '.join(FORMATS)}") from error
    if image.width * image.height > max_pixels:
        raise ImageTooLarge(
            f"the picture has {image.width}×{image.height} pixels; at most {max_pixels:,} are allowed"
        )
    if image.format in _SCANNED:
        _require_few_scans(data, image)
    try:
        image.load()
        return _plain_mode(_upright(image))
    except Exception as error:  # as above: damage shows only while decoding
        raise ImageError("the picture is damaged or cut off; send it again whole") from error


def to_tensor(image: Image.Image, block: ImagePreprocessing) -> np.ndarray:
    """float32 [C, H, W]: resized, then (value·scale − mean) / std per channel."""
    mode = "L" if block.channel_order == "L" else "RGB"
    resized = _fit(image if image.mode == mode else image.convert(mode), block)
    pixels = np.asarray(resized, dtype=np.float32)
    pixels = pixels[:, :, None] if mode == "L" else pixels
    if block.channel_order == "BGR":
        pixels = pixels[:, :, ::-1]
    mean = np.asarray(block.mean, dtype=np.float32)
    std = np.asarray(block.std, dtype=np.float32)
    scaled = (pixels * np.float32(block.scale) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def to_png(pixels: np.ndarray, block: ImagePostprocessing) -> bytes:
    """PNG bytes of float [C, H, W] in `low`–`high` (values outside are clipped)."""
    shares = (pixels - np.float32(block.low)) / np.float32(block.high - block.low)
    levels = np.round(np.clip(shares, 0.0, 1.0) * 255).astype(np.uint8)
    image = Image.fromarray(levels[0] if block.channel_order == "L" else levels.transpose(1, 2, 0))
    if block.upscale > 1:
        size = (image.width * block.upscale, image.height * block.upscale)
        image = image.resize(size, Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def _require_few_scans(data: bytes, image: Image.Image) -> None:
    scans = data.count(_START_OF_SCAN)
    most = min(_MOST_SCANS, _MOST_SCANNED_PIXELS // (image.width * image.height))
    if scans > most:
        raise ImageTooLarge(
            f"the picture is written in {scans} scans; at most {most} are read at its size: save it again"
        )


def _upright(image: Image.Image) -> Image.Image:
    """As its EXIF or XMP orientation says."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever a broken block makes of its reader: the pixels are sound
        return image
    return image if turn is None else image.transpose(turn)


def _plain_mode(image: Image.Image) -> Image.Image:
    is_transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if image.mode in ("L", "RGB") and not is_transparent:
        return image
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion clips at 255 instead of scaling.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if is_transparent:
        layer = image.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(canvas, layer).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _fit(image: Image.Image, block: ImagePreprocessing) -> Image.Image:
    size, resample = (block.width, block.height), _RESAMPLE[block.interpolation]
    if block.fit == "crop" and block.crop_from:
        image = _not_too_long(image)
        return _middle(image.resize(_crop_from(image.size, block.crop_from), resample), size)
    if block.fit == "keep":
        return image.resize(kept_size(image.size, block), resample)
    if image.size == size:
        return image
    if block.fit == "crop":
        return ImageOps.fit(image, size, resample)
    if block.fit == "pad":
        return ImageOps.pad(image, size, resample)
    if block.fit == "content":
        return _content(image, block.width / block.height).resize(size, resample)
    return image.resize(size, resample)


def kept_size(size: tuple[int, int], block: ImagePreprocessing) -> tuple[int, int]:
    """Width and height that `keep` gives a picture of `size` (width, height), in whole pixels."""
    shorter, longer = sorted(size)
    least, most = sorted((block.height, block.width))
    wanted: float = least
    if longer / shorter * least > most:
        wanted = most * shorter / longer
    if shorter == round(wanted):
        return size
    short = max(1, round(wanted))
    long = max(1, int(wanted * longer / shorter))
    return (short, long) if size[0] < size[1] else (long, short)


def _not_too_long(image: Image.Image) -> Image.Image:
    """The middle of what is many times as long as wide: enlarged whole, a line of pixels fills the
    memory, and the crop drops its ends anyway."""
    most = _MOST_ELONGATED * min(image.size)
    if max(image.size) <= most:
        return image
    return _middle(image, (min(image.width, most), min(image.height, most)))


def _crop_from(size: tuple[int, int], crop_from: tuple[int, ...]) -> tuple[int, int]:
    if len(crop_from) == 2:
        return crop_from[1], crop_from[0]
    width, height = size
    short, long = crop_from[0], int(crop_from[0] * max(size) / min(size))
    return (short, long) if width <= height else (long, short)


def _middle(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The centre of an image; what an image lacks is black. Odd rests lie right and below."""
    left, top = ((has - wants) // 2 for has, wants in zip(image.size, size, strict=True))
    return image.crop((left, top, left + size[0], top + size[1]))


def _content(image: Image.Image, aspect: float) -> Image.Image:
    """What stands out from the border, centred on the border's own colour at `aspect` (width / height).

    A blank picture is returned whole.
    """
    levels = np.asarray(image.convert("L"), dtype=np.int16)
    border = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    contrast = np.abs(levels - np.median(border))
    stands_out = contrast > max(_LEAST_CONTRAST, _CONTENT_CONTRAST * contrast.max())
    if not stands_out.any():
        return image
    rows, columns = (np.flatnonzero(stands_out.any(axis=axis)) for axis in (1, 0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    found = image.crop(box)
    size = _around(found.size, aspect)
    if size[0] * size[1] > MAX_PIXELS:  # a line of pixels, which fills the memory as a square
        shrink = (MAX_PIXELS / (size[0] * size[1])) ** 0.5
        width, height = (max(1, int(side * shrink)) for side in found.size)
        found = found.resize((width, height), Image.Resampling.BOX)
        size = _around(found.size, aspect)
    canvas = Image.new(image.mode, size, _border_colour(image))
    canvas.paste(found, ((size[0] - found.width) // 2, (size[1] - found.height) // 2))
    return canvas


def _around(size: tuple[int, int], aspect: float) -> tuple[int, int]:
    """The least size of proportion `aspect` that holds `size`."""
    width, height = size
    return max(width, round(height * aspect)), max(height, round(width / aspect))


def _border_colour(image: Image.Image) -> int | tuple[int, ...]:
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(border, axis=0).astype(int)
    return int(colour) if colour.ndim == 0 else tuple(colour.tolist())
