"""What a language model is trained and judged on: documents, split once and for all.

Filled by the readers (`pysource`, `textfiles`), consumed by `training.tasks.text_generation`. A reader
decides what is held out; nothing after it may move a document from one side to the other.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One text; `name` is stable across machines and says where it came from."""

    name: str
    text: str

    @property
    def size_bytes(self) -> int:
        return len(self.text.encode())


@dataclass(frozen=True)
class Corpus:
    """Both sides of the split. `dataset` names the corpus, `split` how the held-out side was chosen."""

    dataset: str
    split: str
    train: tuple[Document, ...]
    held_out: tuple[Document, ...]

    def sha256(self) -> str:
        """Digest of every name and text on both sides."""
        digest = hashlib.sha256()
        for side in (self.train, self.held_out):
            for document in side:
                for part in (document.name.encode(), document.text.encode()):
                    digest.update(len(part).to_bytes(8) + part)
        return digest.hexdigest()

    def summary(self) -> dict[str, str]:
        return {
            "corpus": self.dataset,
            "train": _describe(self.train),
            "held out": f"{_describe(self.held_out)} ({self.split})",
        }


def _describe(documents: tuple[Document, ...]) -> str:
    size_bytes = sum(document.size_bytes for document in documents)
    return f"{len(documents):,} documents, {size_bytes:,} bytes"
