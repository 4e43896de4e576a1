"""What all imports that read text share: tokenizer, limits, tensors, sample inputs.

Letters: B batch, T tokens.
"""

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer
from torch import Tensor, nn
from typing_extensions import override

from models.blocks import TextPreprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from models.transforms.text import Row, TextEncoder, pad_batch
from training.checkpoints import load_module
from training.importing.kind import ImportKind
from training.importing.library import load_tokenizer
from training.importing.samples import PAIRS, TEXTS
from training.pretrained import TOKENIZER_FILE, max_tokens, require_embeddings
from training.work import Arrays, ExportPlan

# Longer ones take long and show nothing that these do not.
_LONGEST_VERIFIED_TOKENS = 256
_TYPE_IDS = "token_type_ids"


class Head(nn.Module):
    """int64 [B, T] tensors in the order of `names` → the members `outputs` of what the library's network
    answers, each passed through `activation`."""

    def __init__(
        self,
        network: nn.Module,
        names: Sequence[str],
        outputs: Sequence[str] = ("logits",),
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._names, self._outputs = tuple(names), tuple(outputs)
        self.activation = activation or nn.Identity()

    def forward(self, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        answer = self.network(**dict(zip(self._names, tensors, strict=True)))
        found = tuple(self.activation(getattr(answer, name)) for name in self._outputs)
        return found[0] if len(found) == 1 else found


class TextKind(ImportKind):
    """A subclass names the library's class and says what comes after the graph."""

    library: ClassVar[str] = "transformers' pipeline"
    auto_class: ClassVar[str] = ""
    is_pair: ClassVar[bool] = False
    stride_tokens: ClassVar[int] = 0

    tokenizer: Any
    encoder: TextEncoder
    network: Any

    @override
    def read(self) -> None:
        import transformers

        folder = self.checkpoint.folder
        self.tokenizer = load_tokenizer(folder)
        self.network = load_module(
            getattr(transformers, self.auto_class), folder, attn_implementation="eager"
        )
        self.take_tokenizer(self.tokenizer, max_tokens(folder, self.network))
        self.module = self.head()

    def head(self) -> nn.Module:
        return Head(self.network, [spec.name for spec in self.input_specs()])

    def take_tokenizer(self, tokenizer: Any, limit_tokens: int) -> None:
        """Make the encoder of it; the library's own is held to the same limit."""
        tokenizer.model_max_length = limit_tokens
        text = bare_json(tokenizer)
        require_embeddings(self.checkpoint.folder, self.network, text)
        self.encoder = TextEncoder(text, self._block(limit_tokens))

    @property
    @override
    def preprocessing(self) -> TextPreprocessing:
        return self.encoder.block

    @override
    def summary(self) -> dict[str, str]:
        size = self.encoder.tokenizer.get_vocab_size()
        return {"tokenizer": f"{size:,} tokens, texts up to {self.preprocessing.max_tokens:,}"}

    @override
    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Of a given length: the first row full, the others as long as they are."""
        rows = [dict(row) for row in self._rows()]
        chosen = [rows[index] for index in np.resize(np.arange(len(rows)), batch)]
        if length is not None:
            chosen = [{name: ids[:length] for name, ids in row.items()} for row in chosen]
            chosen[0] = {name: np.resize(ids, length) for name, ids in chosen[0].items()}
        return pad_batch(chosen, self.input_specs())

    @override
    def write_assets(self, folder: Path) -> None:
        text = self.encoder.tokenizer
        text.no_truncation()
        (folder / TOKENIZER_FILE).write_text(text.to_str(), encoding="utf-8")

    def input_specs(self) -> tuple[TensorSpec, ...]:
        block = self.preprocessing
        names = (block.ids_input, block.mask_input, block.type_ids_input)
        padding = getattr(self.network.config, "pad_token_id", None) or 0
        return tuple(
            TensorSpec(
                name=name,
                dtype=DataType.INT64,
                shape=("batch", "sequence"),
                pad_axes=("sequence",),
                pad_value=padding if name == block.ids_input else 0,
            )
            for name in names
            if name is not None
        )

    def output_specs(self) -> tuple[TensorSpec, ...]:
        raise AssertionError("a subclass says what its graph answers")

    @override
    def plan(self) -> ExportPlan:
        longest = self.preprocessing.max_tokens
        lengths = {2, 7, 33, min(longest, _LONGEST_VERIFIED_TOKENS)}
        return ExportPlan(
            self.module,
            self.input_specs(),
            self.output_specs(),
            lengths=tuple(sorted(length for length in lengths if length <= longest)),
            axis_limits={"sequence": (1, longest)},
        )

    def rows_of(self, text: str) -> Arrays:
        """One text as a batch of one, cut where it is too long."""
        return as_batch(self.encoder.encode(text, truncate=True))

    def _rows(self) -> list[Row]:
        if self.is_pair:
            return [self.encoder.encode_pair(*pair)[0].row for pair in PAIRS[:3]]
        return self.encoder.encode_batch(TEXTS[:4])

    def _block(self, limit_tokens: int) -> TextPreprocessing:
        return TextPreprocessing(
            max_tokens=limit_tokens,
            is_pair=self.is_pair,
            stride_tokens=min(self.stride_tokens, limit_tokens // 4),
            type_ids_input=_TYPE_IDS if self.is_pair and self._takes_type_ids() else None,
        )

    def _takes_type_ids(self) -> bool:
        return (
            _TYPE_IDS in self.tokenizer.model_input_names
            and _TYPE_IDS in inspect.signature(self.network.forward).parameters
            and getattr(self.network.config, "type_vocab_size", 0) > 1
        )


def bare_json(tokenizer: Any) -> str:
    """The tokenizers library's file of a library tokenizer, without truncation and padding."""
    document = json.loads(tokenizer.backend_tokenizer.to_str())
    document["truncation"] = document["padding"] = None
    text = json.dumps(document, ensure_ascii=False)
    Tokenizer.from_str(text)
    return text


def as_batch(row: Row) -> Arrays:
    return {name: values[None] for name, values in row.items()}


def finite(array: np.ndarray) -> np.ndarray:
    """For comparing: what is not a number is as far away as can be."""
    return np.nan_to_num(array.astype(np.float64), nan=np.inf)
