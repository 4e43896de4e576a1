"""Files that call themselves pictures: sound ones of every kind, and what damage and malice make of them.

Made anew from fixed seeds; none is larger than a few kilobytes but those whose length is the attack.
"""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

FLIPS_OF_EACH, CUTS_OF_EACH = 4, 3
PNG_BEGINNING = b"\x89PNG\r\n\x1a\n"


def photo(mode: str = "RGB", width: int = 40, height: int = 28) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 5, height))
    waves = np.stack([np.sin(x * y), np.cos(2 * x), np.sin(x + 2 * y)], axis=-1)
    return Image.fromarray((120 + 100 * waves).astype(np.uint8)).convert(mode)


def save(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=format, **options)
    return out.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _moving() -> dict[str, object]:
    return {"save_all": True, "append_images": [photo().rotate(turn) for turn in (90, 180)]}


def sound() -> dict[str, bytes]:
    """Every one is a picture that people send, and must be answered."""
    files = {
        "jpeg": save(photo(), "JPEG", quality=90, subsampling=0),
        "jpeg 4:2:0": save(photo(), "JPEG", quality=60, subsampling=2),
        "jpeg progressive": save(photo(), "JPEG", progressive=True),
        "jpeg with restarts": save(photo(), "JPEG", restart_marker_rows=1),
        "jpeg grey": save(photo("L"), "JPEG"),
        "jpeg cmyk": save(photo("CMYK"), "JPEG"),
        "jpeg cmyk progressive": save(photo("CMYK"), "JPEG", progressive=True),
        "jpeg with others behind": save(photo(), "MPO", **_moving()),
        "jpeg, broken exif": save(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"),
        "jpeg, exif cut off": save(photo(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12"),
        "jpeg, broken profile": save(photo(), "JPEG", icc_profile=b"\xff" * 300),
        "png": save(photo(), "PNG"),
        "png grey": save(photo("L"), "PNG"),
        "png black and white": save(photo("1"), "PNG"),
        "png palette": save(photo().quantize(16), "PNG"),
        "png palette with a hole": save(photo().quantize(16), "PNG", transparency=3),
        "png alpha": save(_see_through(), "PNG"),
        "png grey alpha": save(_see_through().convert("LA"), "PNG"),
        "png one transparent colour": save(photo(), "PNG", transparency=(1, 2, 3)),
        "png 16-bit": _sixteen_bit(),
        "png interlaced": interlaced(photo()),
        "png moving": save(photo(), "PNG", **_moving()),
        "png, broken profile": save(photo(), "PNG", icc_profile=b"acsp" * 40),
        "webp": save(photo(), "WEBP", quality=80),
        "webp lossless": save(photo(), "WEBP", lossless=True),
        "webp alpha": save(_see_through(), "WEBP", lossless=True),
        "webp moving": save(photo(), "WEBP", **_moving()),
        "webp, broken exif": save(photo(), "WEBP", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"),
        "1×1 png": save(photo(width=1, height=1), "PNG"),
        "1×1 jpeg": save(photo(width=1, height=1), "JPEG"),
        "1×1 webp": save(photo(width=1, height=1), "WEBP"),
        "65,000×1": save(photo("L", 65_000, 1), "PNG"),
        "1×65,000": save(photo("L", 1, 65_000), "JPEG"),
    }
    for turn in range(1, 9):
        files[f"jpeg turned {turn}"] = save(photo(), "JPEG", exif=_exif(turn))
    return files


def _see_through() -> Image.Image:
    image = photo("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def _sixteen_bit() -> bytes:
    return save(Image.fromarray(np.asarray(photo("L")).astype(np.uint16) * 257), "PNG")


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG of these chunks between IHDR and IEND."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG_BEGINNING + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def interlaced(image: Image.Image) -> bytes:
    """Adam7, which Pillow reads and does not write."""
    pixels, rows = np.asarray(image), []
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    for top, left, down, right in (*passes, (1, 0, 2, 1)):
        rows += [b"\0" + row.tobytes() for row in pixels[top::down, left::right] if row.size]
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    data = zlib.compress(b"".join(rows))
    return PNG_BEGINNING + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def refused() -> dict[str, bytes]:
    """None of these may be answered."""
    whole = {name: save(photo(), name) for name in ("GIF", "BMP", "TIFF", "PPM", "ICO", "TGA")}
    cut = {
        f"half a {name}": data[: len(data) // 2]
        for name, data in sound().items()
        if name in ("jpeg", "png", "webp", "webp lossless", "png interlaced", "jpeg progressive")
    }
    zeros = zlib.compress(bytes(64 << 20))
    return whole | cut | _disguised() | _damaged_png(zeros) | _too_large(zeros)


def _disguised() -> dict[str, bytes]:
    return {
        "nothing": b"",
        "one byte": b"\0",
        "a text": b"hello",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "html": b"<!doctype html><img src=x>",
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "png's name": PNG_BEGINNING,
        "jpeg's name": b"\xff\xd8\xff",
        "webp's name": b"RIFF\x10\0\0\0WEBPVP8 ",
        "gif within png": PNG_BEGINNING + save(photo(), "GIF"),
        "a png in base64": b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB",
    }


def _damaged_png(zeros: bytes) -> dict[str, bytes]:
    row = chunk(b"IDAT", zlib.compress(b"\0" + bytes(8)))
    good = png(8, 1, row)
    comment = b"Comment\0"
    return {
        "no data": png(8, 8),
        "no header": PNG_BEGINNING + row + chunk(b"IEND", b""),
        "wrong sum of the header": good[:29] + b"\0\0\0\0" + good[33:],
        "data that is not compressed": png(8, 1, chunk(b"IDAT", b"not zlib at all")),
        "no width": png(0, 1, row),
        "an endless chunk": good[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + b"\0" * 20,
        "depth 3": png(8, 1, row, depth=3),
        "colour type 7": png(8, 1, row, colour=7),
        "a zTXt bomb": png(8, 1, chunk(b"zTXt", comment + b"\0" + zeros), row),
        "an iTXt bomb": png(8, 1, chunk(b"iTXt", comment + b"\1\0\0\0" + zeros), row),
    }


def _too_large(zeros: bytes) -> dict[str, bytes]:
    row = chunk(b"IDAT", zlib.compress(bytes(100)))
    scans = save(Image.new("L", (64, 64)), "JPEG", progressive=True)
    last = scans[scans.rindex(b"\xff\xda") : -2]
    return {
        "bomb 6,000": png(6_000, 6_000, row),
        "bomb 60,000": png(60_000, 60_000, row),
        "bomb of a line": png(2**31 - 1, 1, row),
        "bomb with its data": png(8_000, 8_000, chunk(b"IDAT", zeros)),
        "jpeg bomb": _claiming(save(photo(), "JPEG"), 65_000, 65_000),
        "a thousand scans": scans[:-2] + last * 1000 + scans[-2:],
    }


def _claiming(jpeg: bytes, width: int, height: int) -> bytes:
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def unclear() -> dict[str, bytes]:
    """May be answered or refused, as the decoder finds them."""
    row = chunk(b"IDAT", zlib.compress(b"\0" + bytes(8)))
    good = png(8, 1, row)
    webp = save(photo(), "WEBP", **_moving())
    side = (16_000).to_bytes(3, "little")
    files = {
        "no end": good[:-12],
        "too few rows": png(8, 800, row),
        "wrong sum of the data": good[:-16] + b"\0\0\0\0" + good[-12:],
        "two headers": good[:33] + good[8:],
        "an unknown critical chunk": png(8, 1, chunk(b"XXXX", b"?"), row),
        "palette without colours": png(8, 1, row, colour=3),
        "a palette that is too long": png(8, 1, chunk(b"PLTE", bytes(3000)), row, colour=3),
        "transparency too long": png(8, 1, chunk(b"tRNS", bytes(999)), row),
        "filter 9": png(8, 1, chunk(b"IDAT", zlib.compress(b"\x09" + bytes(8)))),
        "far more data than rows": png(8, 1, chunk(b"IDAT", zlib.compress(bytes(8 << 20)))),
        "a profile bomb": png(8, 1, chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(32 << 20))), row),
        "a turn in the text": png(8, 1, chunk(b"tEXt", b"Raw profile type exif\0\n\n\n"), row),
        "a physical size of 0": png(8, 1, chunk(b"pHYs", bytes(9)), row),
        "webp of 16,000": webp[:24] + side + side + webp[30:],
        "jpeg of no height": _claiming(save(photo(), "JPEG"), 40, 0),
        "jpeg of another size": _claiming(save(photo(), "JPEG"), 900, 700),
        "a picture behind rubbish": b"\0" * 10 + good,
        "rubbish behind a picture": good + b"\xff" * 999,
    }
    chance = random.Random(20)
    for name, data in sound().items():
        if "×" not in name:
            for number, made in enumerate(_damaged(data, chance)):
                files[f"{name}, damaged {number}"] = made
    return files


def _damaged(data: bytes, chance: random.Random) -> Iterator[bytes]:
    for _ in range(CUTS_OF_EACH):
        yield data[: chance.randrange(len(data))]
    for number in range(FLIPS_OF_EACH):
        flipped = bytearray(data)
        reach = min(len(data), 120) if number % 2 else len(data)  # headers decide about the most
        for _ in range(1 + number):
            flipped[chance.randrange(reach)] ^= 1 << chance.randrange(8)
        yield bytes(flipped)
