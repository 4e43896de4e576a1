"""The version that metadata, metrics and the OpenAPI document state."""

from functools import cache
from importlib import metadata


@cache
def version() -> str:
    """The installed version, or what a source tree without installation says of itself."""
    try:
        return metadata.version("slipway")
    except metadata.PackageNotFoundError:
        return "0+source"
