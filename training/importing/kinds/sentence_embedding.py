"""Sentence embedding: a sentence-transformers model; pooling, layers behind it and normalisation are part of
the graph.

The stages are the library's own modules, by a list of those that are known to be plain arithmetic.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from typing_extensions import override

from models.blocks import EmbeddingPostprocessing, TextPreprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from models.transforms.vectors import finished
from training.errors import DataError
from training.importing.checkpoint import MODULES_FILE
from training.importing.kind import Difference
from training.importing.kinds.text import TextKind
from training.importing.library import OFFLINE, blaming, quiet_library
from training.importing.samples import TEXTS
from training.pretrained import max_tokens
from training.work import Predict

_STAGES = ("Transformer", "Pooling", "Dense", "LayerNorm", "Dropout", "Normalize")
_NAMESPACE = "sentence_transformers."


class SentenceEncoder(nn.Module):
    """int64 [B, T] twice → embedding float [B, D], through the stages behind the transformer."""

    def __init__(self, network: nn.Module, stages: list[nn.Module]) -> None:
        super().__init__()
        self.network = network
        self.stages = nn.ModuleList(stages)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.network(input_ids=input_ids, attention_mask=attention_mask)[0]
        features: dict[str, Tensor] = {
            "token_embeddings": states,
            "attention_mask": attention_mask,
        }
        for stage in self.stages:
            features = stage(features)
        return features["sentence_embedding"]


class SentenceEmbeddingKind(TextKind):
    task: ClassVar[str] = "sentence-embedding"
    library: ClassVar[str] = "sentence_transformers' encode"
    measure: ClassVar[str] = "distance of the vectors, as part of their length"

    model: Any

    @override
    def read(self) -> None:
        from sentence_transformers import SentenceTransformer

        root = self.checkpoint.root
        _require_known_stages(root)
        with blaming(root, "sentence-transformers cannot read the checkpoint"):
            self.model = SentenceTransformer(
                str(root),
                device="cpu",
                model_kwargs={"attn_implementation": "eager", "use_safetensors": True},
                **OFFLINE,
            ).float()
        transformer, *stages = list(self.model)
        self.network = transformer.auto_model
        self.tokenizer = self.model.tokenizer
        limits = [max_tokens(self.checkpoint.folder, self.network), self.model.max_seq_length]
        limit_tokens = min(limit for limit in limits if limit)
        self._prompts = {name: text for name, text in self.model.prompts.items() if text}
        self.take_tokenizer(self.tokenizer, limit_tokens)
        self.model.max_seq_length = limit_tokens
        self.module = SentenceEncoder(self.network, stages).eval()
        self._require_vectors(stages)

    @property
    @override
    def postprocessing(self) -> EmbeddingPostprocessing:
        return EmbeddingPostprocessing(is_normalised=self._is_normalised)

    @property
    def _is_normalised(self) -> bool:
        return type(list(self.model)[-1]).__name__ == "Normalize"

    @override
    def output_specs(self) -> tuple[TensorSpec, ...]:
        shape = ("batch", self._dimensions)
        return (TensorSpec(name="embedding", dtype=DataType.FLOAT, shape=shape),)

    @property
    def _dimensions(self) -> int:
        return int(self.model.get_embedding_dimension())

    @override
    def summary(self) -> dict[str, str]:
        stages = " → ".join(type(stage).__name__ for stage in self.model)
        length = "length 1" if self._is_normalised else "of any length"
        return super().summary() | {
            "stages": stages,
            "vectors": f"{self._dimensions} numbers, {length}",
            "prompts": ", ".join(self._prompts) or "none",
        }

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        asked = [(text, None) for text in TEXTS] + [(TEXTS[0], name) for name in self._prompts]
        for text, prompt in asked:
            with quiet_library():
                expected = self.model.encode([text], prompt_name=prompt, show_progress_bar=False)[0]
            begun = self.preprocessing.prompt(prompt) + text
            vector = predict(self.rows_of(begun))["embedding"][0]
            given = finished(vector, dimensions=None, normalise=self._is_normalised)
            length = max(float(np.linalg.norm(expected)), 1e-12)
            gap = float(np.linalg.norm(given - expected)) / length
            yield Difference(begun, float(np.nan_to_num(gap, nan=np.inf)))

    @override
    def _block(self, limit_tokens: int) -> TextPreprocessing:
        default = self.model.default_prompt_name
        return TextPreprocessing(
            max_tokens=limit_tokens,
            prompts=self._prompts,
            default_prompt=default if default in self._prompts else None,
        )

    def _require_vectors(self, stages: list[Any]) -> None:
        pooling = next((s for s in stages if type(s).__name__ == "Pooling"), None)
        if pooling is None:
            raise DataError(
                f"{self.checkpoint.source}: {MODULES_FILE} has no Pooling, so there is no vector for a "
                "text"
            )
        if self._prompts and not pooling.include_prompt:
            raise DataError(
                f"{self.checkpoint.source}: its prompts are left out of the pooling, which a graph "
                "without knowledge of the prompt's length cannot do"
            )


def _require_known_stages(root: Path) -> None:
    """Before the library is asked: it would import what the file names, and unpickle weights in .bin.

    Raises DataError naming the stage.
    """
    path = root / MODULES_FILE
    if not path.is_file():
        raise DataError(
            f"{root}: there is no {MODULES_FILE}, so it is no sentence-transformers model; which pooling "
            "the network was trained with is not known"
        )
    try:
        stages = json.loads(path.read_text(encoding="utf-8"))
        kinds = [(str(stage["type"]), str(stage.get("path", ""))) for stage in stages]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: is not a list of stages with type and path") from error
    for number, (kind, place) in enumerate(kinds):
        name = kind.rpartition(".")[2]
        if not kind.startswith(_NAMESPACE) or name not in _STAGES:
            raise DataError(
                f"{path}: stage {number} is a {kind}; those that can be imported are "
                f"{', '.join(_STAGES)} of sentence-transformers"
            )
        if (name == "Transformer") != (number == 0):
            raise DataError(f"{path}: the first stage, and no other, must be a Transformer")
        folder = root / place
        if not folder.resolve().is_relative_to(root.resolve()):
            raise DataError(f"{path}: stage {number} lies outside the checkpoint: {place}")
        if any(folder.glob("*.bin")) and not (folder / "model.safetensors").is_file():
            raise DataError(
                f"{folder}: its weights are pickled, which may hold code and is not read; load and save "
                "the model with a recent sentence-transformers where you trust it"
            )
