"""Bundles with variants whose speed is no matter of luck: other graphs under a variant's name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.bundle import Bundle
from models.golden import Golden
from models.manifest import Variant
from models.publish import publish
from tests.service import graphs
from tests.service.selection.test_choice import variant

SAMPLE = {"x": np.arange(4, dtype=np.float32).reshape(2, 2)}


def published(
    repository: Path, name: str, scratch: Path, variants: Mapping[str, bytes], **more: object
) -> Bundle:
    """y = x, after milliseconds of idling; `variants`: precision → graph. `more`: of all variants."""
    made = graphs.slow(5_000)
    staged = scratch / f"staged-{name}"
    (staged / "variants").mkdir(parents=True)
    (staged / "model.onnx").write_bytes(made.data)
    Golden(SAMPLE, {"y": SAMPLE["x"]}).save(staged / "golden.npz")
    records: list[Variant] = []
    for precision, graph in variants.items():
        file = f"variants/{precision}.onnx"
        (staged / file).write_bytes(graph)
        records.append(variant(precision, file=file, **more))
    draft = made.draft(name).model_copy(update={"variants": tuple(records)})
    return publish(repository, draft, staged)


def quick() -> bytes:
    """The same answers at once."""
    return graphs.identity(width=2).data


def wrong() -> bytes:
    """Other answers, at once."""
    return graphs.doubler(width=2).data


def damaged() -> bytes:
    return quick()[:40]
