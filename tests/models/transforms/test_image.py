"""Pictures of every kind become the same pixels a person sees, and hostile ones are refused."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from models.blocks import ImagePostprocessing, ImagePreprocessing
from models.errors import ImageError, ImageTooLarge
from models.transforms.image import decode_image, to_png, to_tensor


def _encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=format, **options)
    return out.getvalue()


def _gradient(width: int = 32, height: int = 24) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    ("encode", "tolerance"),
    [
        (lambda image: _encode(image), 0),
        (lambda image: _encode(image, "WEBP", lossless=True), 0),
        (lambda image: _encode(image, "JPEG", quality=95, subsampling=0), 8),
        (lambda image: _encode(image.convert("RGBA")), 0),
        (lambda image: _encode(image.quantize(256)), 24),
        (lambda image: _encode(image.convert("CMYK"), "JPEG", quality=95, subsampling=0), 10),
    ],
    ids=["png", "webp", "jpeg", "alpha", "palette", "cmyk"],
)
def test_every_encoding_shows_the_same_picture(
    encode: Callable[[Image.Image], bytes], tolerance: int
) -> None:
    decoded = decode_image(encode(_gradient()))
    assert decoded.mode == "RGB"
    difference = np.abs(np.asarray(decoded, dtype=int) - np.asarray(_gradient(), dtype=int))
    assert difference.max() <= tolerance


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    levels = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    decoded = decode_image(_encode(Image.fromarray(levels)))
    assert np.asarray(decoded).tolist() == [[0, 1, 128, 255]]


def test_transparency_is_laid_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((0, 0), (10, 20, 30, 255))
    assert np.asarray(decode_image(_encode(image))).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90° clockwise to view
    turned = decode_image(_encode(_gradient(32, 24), "JPEG", exif=exif))
    assert turned.size == (24, 32)


def test_a_picture_over_the_pixel_limit_is_refused_before_decoding() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    for side in (6_000, 12_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        bomb = (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", b"")
            + chunk(b"IEND", b"")
        )
        with pytest.raises(ImageTooLarge, match="pixels"):
            decode_image(bomb)


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused(format: str) -> None:
    with pytest.raises(ImageError, match="JPEG, PNG, WEBP"):
        decode_image(_encode(_gradient(), format))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_picture_is_refused_not_half_read(format: str) -> None:
    whole = _encode(_gradient(), format)
    for length in range(0, len(whole) * 3 // 4, 7):
        with pytest.raises(ImageError):
            decode_image(whole[:length])


def test_the_tensor_follows_the_block() -> None:
    block = ImagePreprocessing(
        input="image",
        height=1,
        width=2,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.25, 0.5),
        channel_order="BGR",
    )
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), (255, 0, 51))
    tensor = to_tensor(image, block)
    assert tensor.dtype == np.float32
    assert tensor.shape == (3, 1, 2)
    np.testing.assert_allclose(tensor[:, 0, 0], [-0.6, -2.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad", "content"])
def test_every_fit_gives_the_asked_size(fit: str) -> None:
    block = ImagePreprocessing(input="image", height=10, width=14, channel_order="L", fit=fit)
    assert to_tensor(_gradient(50, 20), block).shape == (1, 10, 14)


def test_box_interpolation_averages_whole_blocks() -> None:
    blocks = np.kron(
        np.array([[0, 255], [255, 0]], dtype=np.uint8), np.ones((4, 4), dtype=np.uint8)
    )
    block = ImagePreprocessing(input="x", height=2, width=2, channel_order="L", interpolation="box")
    np.testing.assert_allclose(
        to_tensor(Image.fromarray(blocks), block)[0], [[0, 1], [1, 0]], atol=1e-6
    )


def test_pixels_survive_png_and_back() -> None:
    pixels = np.random.default_rng(0).random((3, 5, 4)).astype(np.float32)
    data = to_png(pixels, ImagePostprocessing(channel_order="RGB", upscale=3))
    block = ImagePreprocessing(input="x", height=5, width=4, interpolation="box")
    assert np.abs(to_tensor(decode_image(data), block) - pixels).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("background", [0, 255])
@pytest.mark.parametrize("margin", [0, 10, 200])
def test_a_drawing_is_found_wherever_it_stands(background: int, margin: int) -> None:
    drawing = np.full((40, 20), 255 - background, dtype=np.uint8)
    drawing[10:30, 5:15] = background
    page = np.pad(
        drawing,
        ((margin + 1, 3 * margin + 1), (2 * margin + 1, margin + 1)),
        constant_values=background,
    )
    block = ImagePreprocessing(
        input="x", height=8, width=8, channel_order="L", interpolation="box", fit="content"
    )
    found = to_tensor(Image.fromarray(page), block)[0]
    expected = np.pad(drawing, ((0, 0), (10, 10)), constant_values=background)
    square = to_tensor(Image.fromarray(expected), block.model_copy(update={"fit": "stretch"}))[0]
    np.testing.assert_allclose(found, square, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_blank_page_has_no_content_and_stays_whole(mode: str) -> None:
    block = ImagePreprocessing(input="x", height=4, width=4, channel_order="L", fit="content")
    assert np.ptp(to_tensor(Image.new(mode, (30, 20), "white"), block)) == 0


@pytest.mark.parametrize(("crop_from", "resized"), [((8,), (16, 8)), ((10, 12), (12, 10))])
def test_a_crop_may_come_from_a_larger_picture(
    crop_from: tuple[int, ...], resized: tuple[int, int]
) -> None:
    block = ImagePreprocessing(input="x", height=6, width=6, fit="crop", crop_from=crop_from)
    whole = np.asarray(_gradient(64, 32).resize(resized, Image.Resampling.BILINEAR))
    top, left = (resized[1] - 6) // 2, (resized[0] - 6) // 2
    expected = whole[top : top + 6, left : left + 6].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(to_tensor(_gradient(64, 32), block), expected, atol=1e-6)


def test_a_line_of_pixels_is_cropped_without_being_enlarged_whole() -> None:
    block = ImagePreprocessing(input="x", height=6, width=6, fit="crop", crop_from=(7,))
    line = Image.new("RGB", (4_000_000, 1), (255, 0, 0))
    assert to_tensor(line, block).reshape(3, -1).mean(axis=1).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 50), (12, 6)),
        ((50, 100), (6, 12)),
        ((60, 60), (6, 6)),
        ((100, 10), (12, 1)),
        ((6, 9), (6, 9)),
        ((1_000_000, 1), (12, 1)),
    ],
)
def test_keep_changes_the_size_and_not_the_proportions(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    block = ImagePreprocessing(input="x", height=6, width=12, fit="keep")
    shape = to_tensor(Image.new("RGB", size), block).shape
    assert (shape[2], shape[1]) == expected
