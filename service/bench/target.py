"""The server under load: its address taken apart, requests as bytes, and questions asked before the load."""

import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.errors import UsageError
from service.ask.call import call


@dataclass(frozen=True)
class Target:
    """`prefix`: of every path. `headers`: of every request."""

    host: str
    port: int
    is_tls: bool = False
    prefix: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str]) -> "Target":
        """Raises UsageError."""
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host is None or parts.scheme not in ("http", "https"):
            raise UsageError(f"{url!r} is not a server's address; write http://HOST:PORT")
        is_tls = parts.scheme == "https"
        prefix = parts.path.rstrip("/").removesuffix("/v1")  # OpenAI clients' base URLs end with it
        return cls(host, port or (443 if is_tls else 80), is_tls, prefix, dict(headers))

    @property
    def url(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self._authority}{self.prefix}"

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self.is_tls else None

    def post(
        self,
        path: str,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """A whole HTTP/1.1 request; `headers`: of this one, beside everyone's."""
        lines = {"host": self._authority, "content-type": content_type, **self.headers}
        lines |= headers or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        start = f"POST {self.prefix}{path} HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n"
        return start.encode("latin-1", "replace") + body

    def ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        """One answer to a GET, or to a POST of JSON. Raises RemoteRefused with the server's words."""
        content_type = "application/json" if body else ""
        return call(f"{self.url}{path}", body, content_type, self.headers)[0]
