"""Bundles of the tasks that look into pictures: detection and segmentation. Their graphs cannot be opened."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.blocks import (
    DetectionPostprocessing,
    ImagePreprocessing,
    Postprocessing,
    SegmentationPostprocessing,
)
from models.bundle import Bundle
from models.datatypes import DataType
from models.golden import Golden
from models.manifest import ManifestDraft, TensorSpec
from models.publish import publish

SIDE = 32
OBJECTS = ("cat", "dog", "bird")
REGIONS = ("ground", "road", "sky")
CANDIDATES = 6


def detection_bundle(repository: Path, fit: str = "pad", **changes: object) -> Bundle:
    """Six candidate boxes and three classes, of pictures that are letterboxed to 32×32."""
    block = DetectionPostprocessing().model_copy(update=changes)
    shapes = {"boxes": ("batch", CANDIDATES, 4), "scores": ("batch", CANDIDATES, len(OBJECTS))}
    return _publish(repository, "object-detection", fit, block, shapes, OBJECTS)


def segmentation_bundle(
    repository: Path, fit: str = "pad", labels: tuple[str, ...] = REGIONS
) -> Bundle:
    """Logits of three classes at half the side of the input, 16×16."""
    shapes = {"logits": ("batch", len(REGIONS), SIDE // 2, SIDE // 2)}
    return _publish(
        repository, "semantic-segmentation", fit, SegmentationPostprocessing(), shapes, labels
    )


def _publish(
    repository: Path,
    task: str,
    fit: str,
    block: Postprocessing,
    shapes: Mapping[str, tuple[int | str, ...]],
    labels: tuple[str, ...],
) -> Bundle:
    draft = ManifestDraft(
        name=task,
        task=task,
        description="looks into pictures",
        inputs=(TensorSpec(name="image", dtype=DataType.FLOAT, shape=("batch", 3, SIDE, SIDE)),),
        outputs=tuple(
            TensorSpec(name=name, dtype=DataType.FLOAT, shape=shape)
            for name, shape in shapes.items()
        ),
        preprocessing=ImagePreprocessing.model_validate(
            {"input": "image", "height": SIDE, "width": SIDE, "fit": fit}
        ),
        postprocessing=block,
    )
    staged = repository.parent / f"staged-{task}"
    staged.mkdir(parents=True, exist_ok=True)
    (staged / "model.onnx").write_bytes(b"never opened")
    (staged / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    picture = np.linspace(0, 1, 3 * SIDE * SIDE, dtype=np.float32).reshape(1, 3, SIDE, SIDE)
    outputs = {
        name: np.zeros([1, *(int(axis) for axis in shape[1:])], dtype=np.float32)
        for name, shape in shapes.items()
    }
    Golden({"image": picture}, outputs).save(staged / "golden.npz")
    return publish(repository, draft, staged)
