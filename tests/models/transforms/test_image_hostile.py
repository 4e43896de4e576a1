"""Pictures as they come from cameras, browsers and enemies: read alike by training and service, or refused.

Files are made here by Pillow, in every way in which people's files differ, and then damaged.
"""

import base64
import functools
import io
import random
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.blocks import ImagePreprocessing
from models.errors import ImageError, ImageTooLarge
from models.transforms.image import MAX_PIXELS, decode_image, to_tensor
from service.tasks.inputs import read_file_bytes
from training.data.image_folder import ImageFolder
from training.data.images import normalise

BLOCK = ImagePreprocessing(
    input="image", height=24, width=24, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25), fit="crop"
)
LEVEL = 1 / 255 / 0.2  # a 255th of the value range, after division by the least deviation


def _photo(mode: str = "RGB", width: int = 150, height: int = 100) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 5, height))
    waves = np.stack([np.sin(x * y), np.cos(2 * x), np.sin(x + 2 * y)], axis=-1)
    grain = np.random.default_rng(0).normal(scale=10, size=waves.shape)
    pixels = np.clip(120 + 100 * waves + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def _save(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=format, **options)
    return out.getvalue()


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _save(_photo(), "JPEG", exif=exif, quality=90)


def _sixteen_bit() -> bytes:
    grey = np.asarray(_photo("L")).astype(np.uint16) * 257
    return _save(Image.fromarray(grey), "PNG")


def _with_alpha() -> Image.Image:
    image = _photo("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def _one_colour_transparent() -> bytes:
    image = _photo()
    image.putpixel((0, 0), (1, 2, 3))
    return _save(image, "PNG", transparency=(1, 2, 3))


FILES: dict[str, Callable[[], bytes]] = {
    "jpeg 4:4:4": lambda: _save(_photo(), "JPEG", quality=95, subsampling=0),
    "jpeg 4:2:0": lambda: _save(_photo(), "JPEG", quality=80, subsampling=2),
    "progressive jpeg": lambda: _save(_photo(), "JPEG", progressive=True),
    "grey jpeg": lambda: _save(_photo("L"), "JPEG"),
    "cmyk jpeg": lambda: _save(_photo("CMYK"), "JPEG", quality=95),
    **{f"jpeg turned {turn}": partial(_turned, turn) for turn in range(1, 9)},
    "png": lambda: _save(_photo(), "PNG"),
    "palette png": lambda: _save(_photo().quantize(64), "PNG"),
    "palette png with a hole": lambda: _save(_photo().quantize(64), "PNG", transparency=3),
    "png with a transparent colour": _one_colour_transparent,
    "black and white png": lambda: _save(_photo("1"), "PNG"),
    "16-bit png": _sixteen_bit,
    "png with alpha": lambda: _save(_with_alpha(), "PNG"),
    "grey png with alpha": lambda: _save(_with_alpha().convert("LA"), "PNG"),
    "webp": lambda: _save(_photo(), "WEBP", quality=90),
    "webp with alpha": lambda: _save(_with_alpha(), "WEBP", lossless=True),
    "moving webp": lambda: _save(
        _photo(), "WEBP", save_all=True, append_images=[_photo().rotate(90)]
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_training_and_service_make_the_same_numbers_of_a_file(name: str, tmp_path: Path) -> None:
    data = FILES[name]()
    for split in ("train", "test"):
        for label in ("this", "that"):
            for number in range(2):
                target = tmp_path / split / label / f"{number}.{'png'}"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
    learned = normalise(ImageFolder(tmp_path).read(BLOCK, 0).train.pixels[:1], BLOCK)[0]
    sent = read_file_bytes(base64.b64encode(data).decode())
    served = to_tensor(decode_image(sent), BLOCK)
    assert np.abs(learned - served).max() <= LEVEL
    assert np.ptp(served) > 0.5


@pytest.mark.parametrize("name", FILES)
def test_every_file_shows_what_was_saved(name: str) -> None:
    """Against Pillow's own reading on white, or the picture before it was turned."""
    shown = np.asarray(decode_image(FILES[name]()).convert("RGB"), dtype=int)
    if name.startswith("jpeg turned"):
        assert shown.shape[:2] == ((100, 150) if int(name[-1]) <= 4 else (150, 100))
        return
    whole = _with_alpha() if "alpha" in name else _photo()
    if "alpha" in name and "grey" in name:
        whole = whole.convert("LA").convert("RGBA")
    if "grey" in name or "16-bit" in name or "black" in name:
        whole = whole.convert("RGBA" if "alpha" in name else "L")
    white = Image.new("RGBA", whole.size, "white")
    expected = np.asarray(
        Image.alpha_composite(white, whole.convert("RGBA")).convert("RGB"), dtype=int
    )
    coarse = 90 if "black" in name else 14
    assert np.abs(_blocks(shown) - _blocks(expected)).mean() < coarse


def _blocks(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(10, 10, 10, 15, 3).mean(axis=(1, 3))


def test_a_transparent_colour_is_white_like_any_transparency() -> None:
    shown = decode_image(_one_colour_transparent())
    assert shown.mode == "RGB"
    assert shown.getpixel((0, 0)) == (255, 255, 255)


def test_damaged_files_are_refused_and_never_anything_else() -> None:
    """Bytes flipped, cut, doubled, swapped, in every kind of file: a picture or one of two errors."""
    chance = random.Random(0)
    refused = shown = 0
    for name, make in FILES.items():
        data = make()
        for _ in range(40):
            try:
                image = decode_image(_mutated(data, chance))
            except (ImageError, ImageTooLarge):
                refused += 1
            else:
                assert image.mode in ("L", "RGB"), name
                assert image.width * image.height <= MAX_PIXELS
                assert np.isfinite(to_tensor(image, BLOCK)).all()
                shown += 1
    assert refused > 100
    assert shown > 100


def _mutated(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 3, 20))):
        place = chance.randrange(len(damaged))
        if chance.random() < 0.3:  # headers decide about more than pixels do
            place %= min(len(damaged), 200)
        match chance.randrange(5):
            case 0:
                damaged[place] ^= 1 << chance.randrange(8)
            case 1:
                damaged[place] = chance.choice((0, 0x7F, 0x80, 0xFF))
            case 2:
                del damaged[place : place + chance.randrange(1, 50)]
            case 3:
                damaged[place:place] = damaged[place : place + chance.randrange(1, 50)]
            case _:
                damaged[place:] = damaged[place : max(place + 1, chance.randrange(len(data)))]
        if not damaged:
            return b""
    return bytes(damaged)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"<svg/>"],
)
def test_beginnings_of_files_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(data)


def test_a_png_whose_text_would_fill_the_memory_is_refused_or_read_without_it() -> None:
    bomb = zlib.compress(b"\0" * (64 << 20))
    chunk = b"zTXtcomment\0\0" + bomb
    whole = _save(_photo(), "PNG")
    block = len(chunk[4:]).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    with pytest.raises(ImageError):
        decode_image(whole[:33] + block + whole[33:])


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_picture_just_over_the_limit_is_refused_with_its_size(format: str) -> None:
    data = _save(Image.new("L", (5001, 5000)), format)
    with pytest.raises(ImageTooLarge, match="5001×5000"):
        decode_image(data)


def _with_more_scans(data: bytes, count: int) -> bytes:
    """The last scan of a JPEG again and again: a few bytes each time, and the whole picture's work."""
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


@pytest.mark.parametrize(("side", "scans"), [(16, 100), (2000, 100), (4900, 20)])
def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(side: int, scans: int) -> None:
    data = _save(Image.new("L", (side, side)), "JPEG", progressive=True)
    with pytest.raises(ImageTooLarge, match="scans"):
        decode_image(_with_more_scans(data, scans))


@pytest.mark.parametrize("more", [0, 8])
def test_as_many_scans_as_encoders_write_are_read(more: int) -> None:
    data = _save(_photo(width=300, height=200), "JPEG", progressive=True)
    assert decode_image(_with_more_scans(data, more)).size == (300, 200)


def test_a_jpeg_with_others_behind_it_is_its_first() -> None:
    data = _save(_photo(), "MPO", save_all=True, append_images=[_photo().rotate(90)])
    shown = np.asarray(decode_image(data), dtype=int)
    assert np.abs(shown - np.asarray(decode_image(_save(_photo(), "JPEG")), dtype=int)).max() == 0


BROKEN_EXIF = {
    "nothing": b"",
    "no header": b"garbage that is no TIFF header at all",
    "cut off": b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03",
    "points far away": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "points at itself": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    "turned by 9": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0\0\0\0\0",
    "turned by a word": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0",
    "a resolution over zero": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x1a\x01\x05\0\x01\0\0\0\x1a\0\0\0\0\0\0\0"
    + b"\x01\0\0\0\0\0\0\0",
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's; the service hides them from its log
@pytest.mark.parametrize("block", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_broken_metadata_neither_turns_a_picture_nor_refuses_it(format: str, block: bytes) -> None:
    plain = np.asarray(decode_image(_save(_photo(), format)))
    assert np.array_equal(np.asarray(decode_image(_save(_photo(), format, exif=block))), plain)


@pytest.mark.parametrize("profile", [b"", b"\0" * 128, b"\xff" * 4000, b"acsp" * 50])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_broken_colour_profile_is_not_heeded(format: str, profile: bytes) -> None:
    plain = np.asarray(decode_image(_save(_photo(), format)))
    shown = decode_image(_save(_photo(), format, icc_profile=profile))
    assert np.array_equal(np.asarray(shown), plain)


@pytest.mark.parametrize("divisor", [2, 4, 9])
def test_a_large_photograph_is_read_whole_before_it_is_made_small(divisor: int) -> None:
    """Decoding at a part of the size (JPEG's draft mode) would miss the tolerance, so it is not used."""
    large = _save(_photo(width=64 * divisor, height=48 * divisor), "JPEG", quality=85)
    block = BLOCK.model_copy(update={"height": 24, "width": 32, "fit": "stretch"})
    whole = Image.open(io.BytesIO(large)).convert("RGB")
    assert np.array_equal(to_tensor(decode_image(large), block), to_tensor(whole, block))


SHAPES = st.sampled_from(((1, 1), (1, 7), (2, 65_000), (65_000, 1), (1, 65_535), (33, 17)))
FITS = st.sampled_from(("stretch", "crop", "pad", "content", "keep"))


@settings(max_examples=40, deadline=None)
@given(size=SHAPES, fit=FITS, order=st.sampled_from(("RGB", "BGR", "L")), is_blank=st.booleans())
def test_every_shape_of_picture_becomes_a_tensor_by_every_fit(
    size: tuple[int, int], fit: str, order: str, is_blank: bool
) -> None:
    image = Image.new("RGB", size, "white")
    if not is_blank:
        image.putpixel((0, 0), (0, 0, 0))
        image.putpixel((size[0] - 1, size[1] - 1), (90, 0, 0))
    block = ImagePreprocessing.model_validate(
        {"input": "x", "height": 9, "width": 13, "fit": fit, "channel_order": order}
    )
    tensor = to_tensor(decode_image(_save(image, "PNG")), block)
    assert tensor.shape[0] == (1 if order == "L" else 3)
    assert fit == "keep" or tensor.shape[1:] == (9, 13)
    assert np.isfinite(tensor).all()


_MADE = functools.cache(lambda name: FILES[name]())


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(list(FILES)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
    kept=st.floats(0, 1),
)
def test_no_file_makes_anything_but_a_picture_or_a_refusal(
    name: str, changes: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(_MADE(name))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        image = decode_image(bytes(data[: int(kept * len(data)) + 1]))
    except (ImageError, ImageTooLarge):
        return
    assert image.mode in ("L", "RGB")


def test_a_drawn_line_of_pixels_is_found_without_a_square_that_fills_the_memory() -> None:
    block = BLOCK.model_copy(update={"fit": "content", "mean": (0.0,) * 3, "std": (1.0,) * 3})
    line = Image.new("RGB", (60_000, 3), "white")
    line.paste((0, 0, 0), (10_000, 1, 50_000, 2))
    tracemalloc.start()
    tensor = to_tensor(line, block)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100 << 20
    assert tensor.shape == (3, 24, 24)
    assert tensor[:, :11].min() == tensor[:, 13:].min() == 1
    assert tensor.min() < 1
