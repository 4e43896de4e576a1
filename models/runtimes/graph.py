"""A graph on its way into a runtime: bytes, never a path, so that what was verified is what runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.blocks import TextPreprocessing
from models.bundle import Bundle
from models.manifest import MODEL_FILE, ManifestDraft, TensorSpec


@dataclass(frozen=True)
class Sizes:
    """Which sizes will come, for runtimes that prepare for shapes. `allowed_batch_sizes`: batches are
    filled up to one of these; empty: any size up to `max_batch_size`. `longest`: of named axes, where the
    bundle says how long they become."""

    max_batch_size: int = 1
    allowed_batch_sizes: tuple[int, ...] = ()
    longest: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: ManifestDraft) -> "Sizes":
        batching = manifest.batching
        allowed = tuple(sorted(set(batching.allowed_batch_sizes)))
        within = tuple(size for size in allowed if size <= batching.max_batch_size)
        longest: dict[str, int] = {}
        if isinstance(manifest.preprocessing, TextPreprocessing):
            axes = {axis for spec in manifest.inputs for axis in spec.pad_axes}
            longest = dict.fromkeys(sorted(axes), manifest.preprocessing.max_tokens)
        # Where all go beyond the limit the smallest stays, as in the batcher.
        return cls(batching.max_batch_size, within or allowed[:1], longest)


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
    sizes: Sizes = Sizes()

    @property
    def size_bytes(self) -> int:
        return len(self.model) + sum(map(len, self.weights.values()))

    @classmethod
    def of(cls, bundle: Bundle, file: str = MODEL_FILE) -> "Graph":
        """A published graph; checksums are verified here. Raises IntegrityError."""
        manifest = bundle.manifest
        label = f"{bundle.name}/{bundle.version}"
        weights = external_weights(bundle, file)
        model, sizes = bundle.read(file), Sizes.of(manifest)
        return cls(label, model, weights, manifest.inputs, manifest.outputs, sizes)

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
