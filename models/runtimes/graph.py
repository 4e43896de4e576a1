"""A graph on its way into a runtime: bytes, never a path, so that what was verified is what runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.bundle import Bundle
from models.manifest import MODEL_FILE, TensorSpec


@dataclass(frozen=True)
class Graph:
    """`label` names it in messages. `weights`: external data by the name that the graph knows it by.

    A runtime may keep pointers into these bytes while it opens them; whoever opens a graph keeps it alive
    until the session exists, and no longer, since it is a whole copy of the weights.
    """

    label: str
    model: bytes
    weights: Mapping[str, bytes]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @classmethod
    def of(cls, bundle: Bundle, file: str = MODEL_FILE) -> "Graph":
        """A published graph; checksums are verified here. Raises IntegrityError."""
        manifest = bundle.manifest
        label = f"{bundle.name}/{bundle.version}"
        weights = external_weights(bundle, file)
        return cls(label, bundle.read(file), weights, manifest.inputs, manifest.outputs)

    @classmethod
    def in_folder(
        cls, path: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> "Graph":
        """One that is not published yet, with what lies beside it."""
        beside = [
            file for file in sorted(path.parent.glob(f"{path.name}.*")) if file.suffix != ".npz"
        ]
        weights = {file.name: file.read_bytes() for file in beside}
        return cls(path.name, path.read_bytes(), weights, inputs, outputs)


def external_weights(bundle: Bundle, file: str = MODEL_FILE) -> dict[str, bytes]:
    """Of one published graph, by the names that it knows them by. Raises IntegrityError."""
    beside = [name for name in bundle.manifest.files if name.startswith(f"{file}.")]
    return {name.rpartition("/")[2]: bundle.read(name) for name in beside}
