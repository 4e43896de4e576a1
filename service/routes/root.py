"""The pages for people: `/` to try the models, `/docs` to read and press the API, and their parts.

No page loads anything from another host, and the policy header forbids it: a closed network and a
curious model name are both harmless. Pages read the API's own OpenAPI document; nothing is rendered here.
"""

import hashlib
from importlib import resources

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.errors import NotFound
from service.openapi import OpenApi
from service.responses import Json

router = APIRouter(include_in_schema=False)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_PAGES = {"/": "try.html", "/docs": "docs.html"}


def _load() -> dict[str, tuple[bytes, str, str]]:
    """File name → (bytes, content type, entity tag); a handful of kilobytes, read once at import."""
    found = {}
    for entry in resources.files("service.web").iterdir():
        kind = _TYPES.get(entry.name[entry.name.rfind(".") :])
        if kind is not None:
            data = entry.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
            found[entry.name] = (data, f"{kind}; charset=utf-8", tag)
    return found


_FILES = _load()


@router.get("/")
async def root(request: Request) -> Response:
    """The page for browsers; for programs what KServe's V1 liveness probe expects."""
    if "text/html" in request.headers.get("accept", ""):
        return _send(request, _PAGES["/"])
    return Json({"status": "alive", "try": "/", "docs": "/docs", "models": "/v1/models"})


@router.get("/docs")
async def docs(request: Request) -> Response:
    return _send(request, _PAGES["/docs"])


@router.get("/assets/{file}")
async def asset(request: Request, file: str) -> Response:
    if file not in _FILES:
        raise NotFound(f"there is no asset {file[:64]!r}")
    return _send(request, file)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    state = request.app.state
    if not hasattr(state, "openapi"):
        state.openapi = OpenApi()
    body = await state.openapi.render(request.app, state.registry)
    return Response(body, media_type="application/json", headers={"cache-control": "no-cache"})


def _send(request: Request, file: str) -> Response:
    data, content_type, tag = _FILES[file]
    headers = {**_HEADERS, "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=content_type, headers=headers)
