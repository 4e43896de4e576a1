"""Bundles of the tasks that answer about a whole picture: embedding and anomalies.

Their graphs cannot be opened; `embedded` and `inspected` compute with numpy what theirs would.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.blocks import (
    AnomalyPostprocessing,
    EmbeddingPostprocessing,
    ImagePreprocessing,
    Postprocessing,
)
from models.bundle import Bundle
from models.datatypes import DataType
from models.gallery import GALLERY_FILE, NAMES_FILE, Gallery
from models.golden import Golden
from models.manifest import Batching, ManifestDraft, TensorSpec
from models.publish import publish

SIDE = 16
RED, GREEN, BLUE = np.eye(3, dtype=np.float32)
GALLERY = Gallery(
    np.stack([RED, GREEN, BLUE, (RED + GREEN) / 2**0.5]), ("rose", "leaf", "sky", "rose")
)
SAME = EmbeddingPostprocessing(same_threshold=0.9, gallery=GALLERY_FILE, gallery_names=NAMES_FILE)
Arrays = Mapping[str, np.ndarray]


def embedded(image: np.ndarray) -> np.ndarray:
    """The mean colour [N, 3] of pictures [N, 3, S, S], of length 1."""
    colour = image.mean(axis=(2, 3)) + 1e-6
    result: np.ndarray = (colour / np.linalg.norm(colour, axis=1, keepdims=True)).astype(np.float32)
    return result


def inspected(image: np.ndarray) -> dict[str, np.ndarray]:
    """What is bright is unusual: map [N, S, S] of the mean over colours, score its maximum."""
    unusual = image.mean(axis=1).astype(np.float32)
    return {"score": unusual.max(axis=(1, 2)), "map": unusual}


def embedder_bundle(
    repository: Path,
    block: EmbeddingPostprocessing = SAME,
    gallery: Gallery | None = GALLERY,
    files: Mapping[str, bytes] | None = None,
) -> Bundle:
    """Mean colours; the gallery holds red and yellow `rose`s, a green `leaf`, a blue `sky`."""
    outputs = {"embedding": embedded(_picture())}
    return _publish(repository, "image-embedding", block, outputs, gallery, files or {})


def inspector_bundle(repository: Path, **changes: object) -> Bundle:
    """Anything brighter than half is an anomaly."""
    block = AnomalyPostprocessing(threshold=0.5, map_low=0.0, map_high=1.0)
    block = block.model_copy(update=changes)
    return _publish(repository, "visual-anomaly-detection", block, inspected(_picture()), None, {})


def _picture() -> np.ndarray:
    return np.linspace(0, 1, 3 * SIDE * SIDE, dtype=np.float32).reshape(1, 3, SIDE, SIDE)


def _publish(
    repository: Path,
    task: str,
    block: Postprocessing,
    outputs: Arrays,
    gallery: Gallery | None,
    files: Mapping[str, bytes],
) -> Bundle:
    draft = ManifestDraft(
        name=task,
        task=task,
        inputs=(TensorSpec(name="image", dtype=DataType.FLOAT, shape=("batch", 3, SIDE, SIDE)),),
        outputs=tuple(
            TensorSpec(name=name, dtype=DataType.FLOAT, shape=("batch", *value.shape[1:]))
            for name, value in outputs.items()
        ),
        preprocessing=ImagePreprocessing(input="image", height=SIDE, width=SIDE),
        postprocessing=block,
        batching=Batching(max_batch_size=4),
    )
    staged = repository.parent / f"staged-{task}"
    staged.mkdir(parents=True, exist_ok=True)
    (staged / "model.onnx").write_bytes(b"never opened")
    if gallery is not None:
        gallery.save(staged)
    for name, content in files.items():
        (staged / name).write_bytes(content)
    Golden({"image": _picture()}, dict(outputs)).save(staged / "golden.npz")
    return publish(repository, draft, staged)
