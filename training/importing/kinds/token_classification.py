"""Token classification: …ForTokenClassification of transformers; entities are named by their tags.

Compared token by token. What makes entities of tokens is the service's own: it follows the words that the
tokenizer itself sees and allows no sequence that BIO forbids, which the library's pipeline does not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from models.blocks import TokenClassificationPostprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from models.transforms.scores import softmax
from models.transforms.tags import OUTSIDE, read_tag
from training.errors import DataError
from training.importing.checkpoint import label_names
from training.importing.kind import Difference, write_labels
from training.importing.kinds.text import TextKind, as_batch
from training.importing.library import make_pipeline, quiet_library
from training.importing.samples import TEXTS
from training.work import Predict


class TokenClassificationKind(TextKind):
    task: ClassVar[str] = "token-classification"
    measure: ClassVar[str] = "largest difference of a token's score"
    auto_class: ClassVar[str] = "AutoModelForTokenClassification"

    @override
    def read(self) -> None:
        self.labels = label_names(self.checkpoint.config)
        self.scheme = tagging_scheme(self.labels)
        super().read()

    @property
    @override
    def postprocessing(self) -> TokenClassificationPostprocessing:
        return TokenClassificationPostprocessing()

    @override
    def output_specs(self) -> tuple[TensorSpec, ...]:
        shape = ("batch", "sequence", len(self.labels))
        return (TensorSpec(name="logits", dtype=DataType.FLOAT, shape=shape),)

    @override
    def summary(self) -> dict[str, str]:
        kinds = sorted({read_tag(label).type for label in self.labels} - {""})
        shown = ", ".join(kinds[:6]) + (", …" if len(kinds) > 6 else "")
        return super().summary() | {
            "tags": f"{len(self.labels)} of scheme {self.scheme}: {shown}",
        }

    @override
    def write_assets(self, folder: Path) -> None:
        super().write_assets(folder)
        write_labels(folder, self.labels)

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        ask = make_pipeline("token-classification", model=self.network, tokenizer=self.tokenizer)
        for text in TEXTS:
            with quiet_library():
                found = ask(text, ignore_labels=[], aggregation_strategy="none")
            encoded = self.encoder.encode_offsets(text, truncate=True)
            scores = softmax(predict(as_batch(encoded.row))["logits"][0])
            read = np.flatnonzero(encoded.sequence >= 0)
            if [entry["index"] for entry in found] != read.tolist():
                yield Difference(
                    text, np.inf, f"({len(read)} tokens instead of the library's {len(found)})"
                )
                continue
            gaps = [
                abs(float(scores[entry["index"], self._class(entry["entity"])]) - entry["score"])
                for entry in found
            ]
            missed = max(
                scores[entry["index"]].max() - scores[entry["index"], self._class(entry["entity"])]
                for entry in found
            )
            yield Difference(text, float(np.nan_to_num(max(*gaps, float(missed)), nan=np.inf)))

    def _class(self, label: str) -> int:
        return self.labels.index(label)


def tagging_scheme(labels: list[str]) -> str:
    """BIO, IO, BIOES …, or `none` where tags are types themselves. Raises DataError where tags with and
    without a prefix are mixed, which no scheme does: joined to entities, such tags mean nothing."""
    if len(set(labels)) != len(labels):
        raise DataError("config.json: id2label names two tags alike")
    named = [label for label in labels if label != OUTSIDE]
    has_prefix = [label for label in named if read_tag(label) != ("I", label)]
    if has_prefix and len(has_prefix) != len(named):
        bare = next(label for label in named if label not in has_prefix)
        raise DataError(
            f"config.json: tags must all have a prefix (B-, I-, …) or none; {has_prefix[0]} has one and "
            f"{bare} has not"
        )
    if not has_prefix:
        return "none"
    letters = {read_tag(label).prefix for label in has_prefix}
    return "".join(letter for letter in "BIOELSU" if letter in letters | {OUTSIDE} & set(labels))
