"""A caller on one kept connection, and what every answer must be like: 200, or 4xx with a reason."""

import base64
import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

LEAKS = ("Traceback", "site-packages", ".py", "0x7f", "object at")
BOUNDARY = "one-of-many-parts"


class Caller:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()

    def get(self, path: str) -> tuple[int, Any]:
        return self._exchange("GET", path, b"", {})

    def post(self, path: str, body: bytes, content_type: str) -> tuple[int, Any]:
        """Status and JSON of an answer that is as it must be."""
        status, answer = self._exchange("POST", path, body, {"content-type": content_type})
        assert status == 200 or 400 <= status < 500, (path, status, answer)
        if status != 200:
            reason = message_of(answer)
            assert 0 < len(reason) < 600, answer
            assert not [leak for leak in LEAKS if leak in reason], reason
        return status, answer

    def json(self, path: str, document: object) -> tuple[int, Any]:
        return self.post(path, json.dumps(document).encode(), "application/json")

    def upload(
        self, path: str, files: Sequence[bytes], fields: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        body = multipart([("file", data) for data in files], fields or {})
        return self.post(path, body, f"multipart/form-data; boundary={BOUNDARY}")

    def _exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        self._connection.request(method, path, body, dict(headers))
        response = self._connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else None


def message_of(answer: Any) -> str:
    """In any of the dialects."""
    error = answer["error"]
    return str(error["message"] if isinstance(error, dict) else error)


def multipart(files: Sequence[tuple[str, bytes]], fields: Mapping[str, str]) -> bytes:
    parts = [
        b"--%s\r\nContent-Disposition: form-data; name=%s\r\n\r\n%s\r\n"
        % (BOUNDARY.encode(), json.dumps(name).encode(), value.encode())
        for name, value in fields.items()
    ]
    parts += [
        b"--%s\r\nContent-Disposition: form-data; name=%s; filename=f\r\n\r\n%s\r\n"
        % (BOUNDARY.encode(), json.dumps(name).encode(), data)
        for name, data in files
    ]
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY.encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
