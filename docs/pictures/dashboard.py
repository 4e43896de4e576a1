"""Draws docs/pictures/dashboard.png: the overview, from a real Prometheus beside a real server under load.

    make tools && python -m docs.pictures.dashboard

The requests are those of tests/grafana/test_live.py: to tiny models, half a minute long, on whatever machine
this runs. The picture shows what there is to see; it is no benchmark.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from helm.grafana.picture import draw
from tests.grafana.dashboards import read
from tests.grafana.prometheus import POD
from tests.grafana.promql import substituted
from tests.grafana.world import STEADY, World, living

PICTURE = Path(__file__).parent / "dashboard.png"
ROWS = ("Objectives", "Traffic", "Latency", "Saturation")
_NOTE = (
    "Drawn with matplotlib, not a screenshot of Grafana: the dashboard's own queries, answered by a real "
    "Prometheus that scraped a real server for {seconds:.0f} s ({date})."
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, living(Path(folder), has_cluster=False) as world:
        began = time.time()
        load(world)
        world.prometheus.until_scraped_after(time.time())
        ended = time.time()
        note = _NOTE.format(seconds=ended - began, date=time.strftime("%Y-%m-%d"))
        picture = draw(
            read("overview"), ROWS, lambda query: between(world, query, began, ended), note
        )
    picture.savefig(PICTURE, dpi=110)
    print(f"wrote {PICTURE}")


def load(world: World) -> None:
    """Quiet, busy, texts beside it, too much, quiet again."""
    world.load(STEADY, concurrency=1, seconds=5.0)
    world.load("batched", concurrency=8, seconds=5.0)
    world.load(STEADY, concurrency=4, seconds=5.0)
    world.texts(4.0)
    world.load(STEADY, concurrency=30, seconds=3.0)
    world.load(STEADY, concurrency=1, seconds=5.0)


def between(world: World, query: str, began: float, ended: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.prometheus.get(
        "/query_range", query=substituted(query, POD, "5s"), start=began + 3, end=ended, step="1s"
    )["result"]
    return found


if __name__ == "__main__":
    main()
