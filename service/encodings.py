"""gzip and deflate, both ways and bounded: a few bytes can stand for gigabytes.

Pure functions of bytes; whoever calls them decides in which thread.
"""

import zlib
from collections.abc import Mapping

from service.body import too_large
from service.errors import BadRequest, UnsupportedMedia

TAKEN = (b"gzip", b"deflate")

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's `wbits`
_LEVEL = 1  # on numbers higher levels cost several times the time for a few percent
_SAMPLE_BYTES = 16 << 10
_WORTH_IT = 0.9


def encoding_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """How the body is compressed; None: not at all. Raises UnsupportedMedia."""
    name = headers.get(b"content-encoding", b"").strip().lower()
    if name in (b"", b"identity"):
        return None
    if name not in TAKEN:
        shown = name.decode("latin-1")[:40]
        raise UnsupportedMedia(f"content encoding {shown!r} is not taken; gzip and deflate are")
    return name


def decompress(body: bytes, encoding: bytes, most_bytes: int) -> bytes:
    """Raises BodyTooLarge as soon as more than `most_bytes` come out; BadRequest when it is broken."""
    inflater = zlib.decompressobj(_GZIP if encoding == b"gzip" else _deflate_format(body))
    try:
        plain = inflater.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise BadRequest(f"the body is not valid {encoding.decode('ascii')}") from error
    if len(plain) > most_bytes:
        raise too_large(most_bytes)
    if not inflater.eof:
        raise BadRequest(f"the {encoding.decode('ascii')} body is cut off")
    if inflater.unused_data:
        raise BadRequest(f"something follows the {encoding.decode('ascii')} body")
    return plain


def compress(body: bytes, encoding: bytes) -> bytes | None:
    """None where it does not pay: weights and noise hardly shrink, as a sample tells."""
    sample = body[:_SAMPLE_BYTES]
    if len(zlib.compress(sample, _LEVEL)) > _WORTH_IT * len(sample):
        return None
    deflater = zlib.compressobj(_LEVEL, wbits=_GZIP if encoding == b"gzip" else _ZLIB)
    return deflater.compress(body) + deflater.flush()


def accepted(accept_encoding: bytes) -> bytes | None:
    """The encoding to answer with, from an Accept-Encoding header: the caller's favourite of ours."""
    best, most = None, 0.0
    for part in accept_encoding.lower().split(b","):
        name, _, parameter = part.partition(b";")
        name = name.strip()
        share = _share(parameter)
        if name == b"*":
            name = b"gzip"
        if name in TAKEN and share > most:
            best, most = name, share
    return best


def _share(parameter: bytes) -> float:
    key, _, value = parameter.strip().partition(b"=")
    if key.strip() != b"q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _deflate_format(body: bytes) -> int:
    """By the standard deflate is zlib's format; some clients send the bare stream all the same."""
    is_zlib = len(body) >= 2 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _ZLIB if is_zlib else _RAW
