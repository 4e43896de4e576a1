"""The framing of a chunked body: where it ends, and that it is neither too long nor in too many pieces.

Only looks; the payload is put together by the HTTP parser afterwards, which has to agree. Trailers are
refused: nobody reads them here, and they are one more thing that servers disagree about.
"""

import re

from service.body import too_large
from service.errors import BadHttp

MOST_CHUNKS = 65_536
_MOST_LINE_BYTES = 128
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~]*)?\r\n")

_LINE, _PAYLOAD, _BREAK, _END = range(4)


class ChunkScanner:
    """Feed it the body as it comes; `is_complete` once the last chunk and the empty line were seen."""

    def __init__(self, most_bytes: int, most_chunks: int = MOST_CHUNKS) -> None:
        self._most_bytes = most_bytes
        self._chunks_left = most_chunks
        self._state = _LINE
        self._line = b""
        self._need = 0
        self._total = 0
        self.is_complete = False

    def feed(self, data: bytes) -> int:
        """How many bytes of `data` belong to this body. Raises BadHttp, BodyTooLarge."""
        at = 0
        while at < len(data) and not self.is_complete:
            if self._state == _PAYLOAD:
                took = min(self._need, len(data) - at)
                self._need -= took
                at += took
                if self._need == 0:
                    self._state = _BREAK
            else:
                at = self._read_line(data, at)
        return at

    def _read_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1 or len(data)
        self._line += data[at:end]
        if len(self._line) > _MOST_LINE_BYTES:
            raise BadHttp("a chunk's size line is too long")
        if self._line.endswith(b"\n"):
            self._on_line(self._line)
            self._line = b""
        return end

    def _on_line(self, line: bytes) -> None:
        if self._state == _LINE:
            self._on_size(line)
        elif line != b"\r\n":
            what = "a chunk is not as long as it says" if self._state == _BREAK else "trailers"
            raise BadHttp(f"the chunked body is not taken: {what}")
        elif self._state == _BREAK:
            self._state = _LINE
        else:
            self.is_complete = True

    def _on_size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise BadHttp("a chunk's size is not a hexadecimal number")
        self._need = int(found.group(1), 16)
        self._total += self._need
        if self._total > self._most_bytes:
            raise too_large(self._most_bytes)
        if self._chunks_left == 0:
            raise BadHttp("the body comes in too many chunks")
        self._chunks_left -= 1
        self._state = _PAYLOAD if self._need else _END
