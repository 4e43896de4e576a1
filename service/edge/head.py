"""A request's first line and headers → Head, or a refusal. Pure: bytes in, no socket, no clock.

Strict where servers and proxies are known to differ, because a difference is what request smuggling
lives on: line ends are CR LF, no folded lines, one valid Host, one way to tell the body's length. What
passes here is read a second time by llhttp, unless the fast lane answers it; both must agree.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.errors import BadHttp, HeadersTooLarge, TargetTooLong

if TYPE_CHECKING:
    from service.edge.lane import Plan

END = b"\r\n\r\n"
MOST_TARGET_BYTES = 8192  # RFC 9112 asks for 8,000 at least

_LINE = re.compile(rb"([A-Z][A-Z-]{0,19}) ([!-~]+) HTTP/1\.([01])")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_ABSOLUTE = (b"http://", b"https://")
# What may stand in a head: visible characters, space, tab, the line ends, and bytes above ASCII.
_ALLOWED = bytes([9, 10, 13, *range(32, 127), *range(128, 256)])


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """`headers`: names in lower case, values of repeated ones joined by commas as RFC 9110 has it.

    `body_bytes`: announced length; None: the body comes in chunks. `plan`: how the fast lane answers it.
    """

    raw: bytes
    method: str
    target: bytes
    headers: dict[bytes, bytes]
    body_bytes: int | None
    keeps_alive: bool
    expects_continue: bool
    plan: "Plan | None" = None

    @property
    def path(self) -> str:
        return self.target.partition(b"?")[0].decode("ascii")

    def without_upgrade(self) -> bytes:
        """`raw` for the second parser, which skips the body of a request that offers another protocol.
        Nothing here takes up such offers."""
        if b"upgrade" not in self.headers:
            return self.raw
        lines = self.raw.split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.lower().startswith(b"upgrade:"))


def read_head(raw: bytes, most_headers: int) -> Head:
    """`raw` ends with the empty line. Raises BadHttp, HeadersTooLarge, TargetTooLong."""
    lines = raw[: -len(END)].split(b"\r\n")
    breaks = len(lines) + 1
    if raw.count(b"\n") != breaks or raw.count(b"\r") != breaks:
        raise BadHttp("lines must end with CR LF, and hold neither alone")
    if raw.translate(None, _ALLOWED):
        raise BadHttp("headers must not hold control characters")
    first = _LINE.fullmatch(lines[0])
    if first is None:
        raise BadHttp("the first line is not 'METHOD /path HTTP/1.1'")
    method, target, minor = first.groups()
    _check_target(method, target)
    if len(lines) - 1 > most_headers:
        raise HeadersTooLarge(f"more than {most_headers} headers; send fewer")
    headers = _headers(lines[1:])
    is_current = minor == b"1"
    if is_current and b"host" not in headers:
        raise BadHttp("HTTP/1.1 needs a Host header")
    connection = headers.get(b"connection", b"").lower()
    return Head(
        raw,
        method.decode("ascii"),
        target,
        headers,
        _body_bytes(headers, is_current),
        keeps_alive=is_current and b"close" not in connection,
        expects_continue=is_current and headers.get(b"expect", b"").lower() == b"100-continue",
    )


def check_unfinished(part: bytearray, most_bytes: int) -> None:
    """What can be told of a head before its end is here. Raises as `read_head`."""
    if not part[:1].isupper() and part != b"\r":
        raise BadHttp("the first line is not 'METHOD /path HTTP/1.1'")
    if _BARE_LF.search(part):
        raise BadHttp("lines must end with CR LF, and hold neither alone")
    line_end = part.find(b"\n")
    if (len(part) if line_end < 0 else line_end) > MOST_TARGET_BYTES + 64:
        raise TargetTooLong(f"the path is longer than {MOST_TARGET_BYTES} bytes")
    if len(part) > most_bytes:
        raise too_many_bytes(most_bytes)


def too_many_bytes(most_bytes: int) -> HeadersTooLarge:
    return HeadersTooLarge(f"the headers are longer than {most_bytes} bytes; send less")


def _check_target(method: bytes, target: bytes) -> None:
    if len(target) > MOST_TARGET_BYTES:
        raise TargetTooLong(f"the path is longer than {MOST_TARGET_BYTES} bytes")
    if method == b"CONNECT":
        raise BadHttp("this server is no proxy")
    if not target.startswith((b"/", *_ABSOLUTE)):
        raise BadHttp("the path must begin with /")


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            if line[:1] in (b" ", b"\t"):
                raise BadHttp("a header must not go on over several lines")
            raise BadHttp("a header line is not 'Name: value'")
        name = name.lower()
        value = value.strip(b" \t")
        if name in headers:
            _check_repeated(name)
            value = headers[name] + b", " + value
        headers[name] = value
    host = headers.get(b"host")
    if host is not None and not _HOST.fullmatch(host):
        raise BadHttp("the Host header is not a host and port")
    return headers


def _check_repeated(name: bytes) -> None:
    """Two that agree would be harmless; that two differ is what an attack begins with."""
    if name in (b"host", b"content-length", b"transfer-encoding"):
        raise BadHttp(f"more than one {name.decode('ascii')} header")


def _body_bytes(headers: dict[bytes, bytes], is_current: bool) -> int | None:
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise BadHttp("Content-Length and Transfer-Encoding exclude each other")
        if not is_current:
            raise BadHttp("HTTP/1.0 has no Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise BadHttp("the only Transfer-Encoding taken is chunked")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise BadHttp("Content-Length is not a whole number")
    return int(length)


def log_names(part: Any) -> tuple[str, str]:
    """(method, path) of a head that was refused, as far as it can be told; for the log alone."""
    words = bytes(part[: MOST_TARGET_BYTES * 2]).split(b"\r", 1)[0].split(b" ")
    if len(words) < 2 or not words[0].isalpha():
        return "-", "-"
    return words[0].decode("ascii", "replace")[:20], words[1].decode("latin-1").partition("?")[0]
