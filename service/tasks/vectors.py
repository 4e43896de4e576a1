"""What tasks share that answer with a vector: the graph's output, shortening, the forms of writing it."""

import base64

import numpy as np

from models.blocks import EmbeddingPostprocessing
from models.errors import InferenceFailed, ManifestInvalid
from models.manifest import ManifestDraft
from service.tasks.base import OptionInvalid, Row


class VectorOutput:
    """An embedding block, checked against its graph. `dimensions`: numbers in the graph's own vector."""

    def __init__(self, manifest: ManifestDraft) -> None:
        block, task = manifest.postprocessing, manifest.task
        if not isinstance(block, EmbeddingPostprocessing):
            raise ManifestInvalid(f"{task} needs embedding postprocessing, not {block.kind}")
        spec = next((s for s in manifest.outputs if s.name == block.output), None)
        if spec is None:
            raise ManifestInvalid(f"{task}: there is no output {block.output!r}")
        size = spec.shape[-1] if len(spec.shape) == 2 else None
        if not isinstance(size, int):
            raise ManifestInvalid(
                f"{task}: output {block.output!r} must be [batch, dimensions], not "
                f"{list(spec.shape)}"
            )
        self.block = block
        self.dimensions = size

    def require_dimensions(self, wanted: int | None) -> None:
        """Raises OptionInvalid for a number of dimensions that this model cannot give."""
        if wanted is None or wanted == self.dimensions:
            return
        if not self.block.may_be_shortened:
            raise OptionInvalid(
                f"option 'dimensions': this model's vectors have {self.dimensions} numbers and "
                "were not trained to be shortened",
                "dimensions",
            )
        if wanted > self.dimensions:
            raise OptionInvalid(
                f"option 'dimensions': at most {self.dimensions}, which is all there are",
                "dimensions",
            )

    def read(self, row: Row) -> np.ndarray:
        """The graph's vector. Raises InferenceFailed when it is not a number."""
        vector = row[self.block.output]
        if not np.isfinite(vector).all():
            raise InferenceFailed("the model's answer to this input is not a number")
        return vector


def written(vector: np.ndarray, encoding_format: str) -> np.ndarray | str:
    """As numbers, or as base64 of their little-endian float32 bytes."""
    if encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode("ascii")
    return vector
