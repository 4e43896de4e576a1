"""A bundle's gallery: vectors that were embedded when the model was made, and whose they are.

Written by training, read strictly and searched by the service. Two files of the bundle: an npz with the one
array `vectors` float32 [entries, dimensions], each of length 1, and names, one a line. A name may have many
entries. Letters: E entries, D dimensions.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.blocks import EmbeddingPostprocessing
from models.bundle import Bundle
from models.errors import ManifestInvalid

GALLERY_FILE, NAMES_FILE = "gallery.npz", "gallery_names.txt"
_VECTORS = "vectors"
_LENGTH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Gallery:
    """`vectors` float32 [E, D] of length 1; `names` one each."""

    vectors: np.ndarray
    names: tuple[str, ...]

    def save(self, folder: Path) -> None:
        np.savez_compressed(folder / GALLERY_FILE, **{_VECTORS: self.vectors.astype(np.float32)})  # type: ignore[arg-type]
        text = "".join(f"{name}\n" for name in self.names)
        (folder / NAMES_FILE).write_text(text, encoding="utf-8")

    def search(self, vector: np.ndarray, top_k: int) -> list[tuple[str, float]]:
        """Up to `top_k` different names with the cosine of each one's nearest entry, best first.

        `vector` float32 [D] of length 1. Among equals the earlier entry.
        """
        cosines = np.clip(self.vectors @ vector, -1.0, 1.0)
        best: dict[str, float] = {}
        for entry in np.argsort(-cosines, kind="stable"):
            if len(best) >= top_k:
                break
            best.setdefault(self.names[entry], float(cosines[entry]))
        return list(best.items())


def read_gallery(bundle: Bundle, block: EmbeddingPostprocessing, dimensions: int) -> Gallery | None:
    """None where the bundle ships none. Raises ManifestInvalid when the files do not fit together."""
    if block.gallery is None and block.gallery_names is None:
        return None
    if block.gallery is None or block.gallery_names is None:
        raise ManifestInvalid("gallery and gallery_names belong together: one of them is missing")
    names = tuple(bundle.labels(block.gallery_names))
    vectors = _read_vectors(bundle.read(block.gallery), block.gallery)
    if vectors.shape != (len(names), dimensions):
        raise ManifestInvalid(
            f"{block.gallery}: {_VECTORS} has the shape {list(vectors.shape)}, expected "
            f"[{len(names)} names, {dimensions} dimensions]"
        )
    return Gallery(vectors, names)


def _read_vectors(data: bytes, file: str) -> np.ndarray:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            wrong = archive.files != [_VECTORS]
            vectors = None if wrong else archive[_VECTORS]
    except Exception as error:  # zipfile, zlib, numpy: many kinds become one
        raise ManifestInvalid(f"{file} cannot be read") from error
    if vectors is None or vectors.dtype != np.float32 or vectors.ndim != 2:
        raise ManifestInvalid(f"{file} must hold one array, {_VECTORS}: float32 of two axes")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1, atol=_LENGTH_TOLERANCE):  # false for what is no number, too
        raise ManifestInvalid(f"{file}: every vector must have length 1")
    result: np.ndarray = vectors
    return result
