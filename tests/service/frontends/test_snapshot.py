"""What a secondary is told is what the primary knows, also after it has crossed as JSON."""

import json

from service.frontends.snapshot import ModelState, Snapshot
from service.workers.base import LoadReport

SNAPSHOT = Snapshot(
    number=7,
    models=(
        ModelState(
            "digits", 3, "/r/digits/3", "2026-01-01T00:00:00Z", "ready", "", 12, 0.5, 1.7e9,
            LoadReport(0.4, 1e-6, "CPUExecutionProvider", 2, {"a": "b"}),
        ),
        ModelState("new", 1, "/r/new/1", "2026-01-02T00:00:00Z", "loading", "", 0, 0.0, 0.0, None),
    ),
    refused=(("bad", 2, "its exam failed", True), ("old", 1, "unloaded", False)),
    required=("digits",),
    is_loading=False,
    workers=2,
    holdings={100: frozenset({12, 13}), 101: frozenset()},
    confined=frozenset({13}),
    barred=frozenset({14}),
)  # fmt: skip


def test_a_snapshot_crosses_unchanged() -> None:
    assert Snapshot.from_json(json.loads(json.dumps(SNAPSHOT.to_json()))) == SNAPSHOT
