"""The dashboards by file name, and their JSON."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from helm.grafana import generation, gpu, overview
from helm.grafana.frame import Board, finished

DASHBOARDS: Mapping[str, Callable[[], Board]] = MappingProxyType(
    {"overview": overview.build, "generation": generation.build, "gpu": gpu.build}
)


def text(board: Board) -> str:
    return json.dumps(document(board), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def document(board: Board) -> dict[str, Any]:
    """As Grafana imports it."""
    plain: dict[str, Any] = json.loads(json.dumps(board.builder.build(), cls=JSONEncoder))
    return finished(board, plain)
