"""Routes, one module a family; each offers `router`. The order is the order of `/docs`.

A module that is named here and cannot be imported stops the start: half a server is worse than none.
"""

from importlib import import_module

from fastapi import APIRouter

METRICS = "metrics"

_MODULES: tuple[str, ...] = (
    "predict",
    "predict_v1",
    "chat",
    "completions",
    "embeddings",
    "images",
    "tei",
    "models",
    "infer",
    "generate",
    "repository",
    "statistics",  # ahead of metadata, whose /v2/models/{name} would take /v2/models/stats
    "metadata",
    "health",
    METRICS,
    "root",
)


def routers(*, without: frozenset[str] = frozenset()) -> list[APIRouter]:
    names = [module for module in _MODULES if module not in without]
    return [import_module(f"{__name__}.{module}").router for module in names]
