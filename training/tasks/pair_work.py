"""What both kinds of work on pairs of texts do alike: reading, the tokenizer, the figures' frame.

Sentence embedding reads each text by itself, text similarity both together. Letters: N texts, T tokens.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from tokenizers import Tokenizer, processors

from models.blocks import TextPreprocessing
from models.datatypes import DataType
from models.errors import TextEmpty
from models.manifest import TensorSpec
from models.transforms.text import TextEncoder
from training.data.pair_table import PairChoice, load_pair_table
from training.data.paraphrases import load_paraphrases
from training.data.text_pairs import PairData, Pairs, fold_of
from training.data.text_tokenizer import fit_tokenizer
from training.errors import DataError
from training.networks.text_registry import is_limited
from training.pretrained import TextCheckpoint
from training.tasks.pair_settings import PairConfig
from training.tasks.text_checkpoint import CheckpointSource
from training.work import Array, ExportPlan, Work

IDS, MASK, TYPE_IDS = "input_ids", "attention_mask", "token_type_ids"
_SEPARATOR = "[SEP]"

PairConfigT = TypeVar("PairConfigT", bound=PairConfig)


class PairWork(Work[PairConfigT]):
    """One run. `prepare` must come first."""

    is_pair: ClassVar[bool]

    texts: PairData
    encoder: TextEncoder
    checkpoint: TextCheckpoint | None = None
    _source: CheckpointSource | None = None

    def prepare(self) -> None:
        self.texts = self._read()
        self.settle()

    def settle(self) -> None:
        """What follows from `texts`: tokenizer, baselines."""
        config = self.config
        if config.network == "pretrained":
            own = self.texts.train.texts if self.data is None else None
            self._source = CheckpointSource(config, own)
            self.checkpoint = self._source.load()
        self.encoder = self._tokenizer()
        self._require_readable()

    def fold(self, number: int, count: int) -> Self:
        config = self.config
        fold = type(self)(config, self.data)
        fold.texts = fold_of(
            self.texts,
            number,
            count,
            validation_fraction=config.validation_fraction,
            seed=config.seed,
        )
        fold.settle()
        return fold

    def data_summary(self) -> dict[str, str]:
        texts = self.texts
        lengths = self._lengths(texts.train)
        summary = {
            "data set": f"{texts.name}, {_KINDS[texts.kind]}",
            "train": f"{len(texts.train):,} rows, {np.mean(lengths):.1f} tokens a text on average",
            "validation": f"{len(texts.validation):,} rows",
            "test": f"{len(texts.test):,} rows",
            "tokenizer": f"{self.encoder.tokenizer.get_vocab_size():,} tokens",
        }
        if self._source is not None and self.checkpoint is not None:
            summary["checkpoint"] = self._source.summary(self.checkpoint)
        return summary | ({"notes": "; ".join(texts.notes)} if texts.notes else {})

    def data_sha256(self) -> str:
        return self.texts.sha256()

    def write_assets(self, folder: Path) -> None:
        tokenizer = self.encoder.tokenizer.to_str()
        (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-dynamic",)

    def token_specs(self, names: Sequence[str]) -> tuple[TensorSpec, ...]:
        """Graph inputs int64 [batch, sequence]."""
        padding = (self.checkpoint.special.padding or 0) if self.checkpoint else 0
        return tuple(
            TensorSpec(
                name=name,
                dtype=DataType.INT64,
                shape=("batch", "sequence"),
                pad_axes=("sequence",),
                pad_value=padding if name == IDS else 0,
            )
            for name in names
        )

    def token_plan(self, module: Any, names: Sequence[str], output: TensorSpec) -> ExportPlan:
        longest = self.encoder.block.max_tokens
        lengths = tuple(length for length in (3, 7, 33) if length < longest)
        return ExportPlan(
            module,
            self.token_specs(names),
            (output,),
            lengths=(*lengths, longest),
            axis_limits={"sequence": (1, longest)} if is_limited(self.config) else {},
        )

    def token_statistics(self) -> dict[str, float]:
        """What drift is measured against: tokens in a training text."""
        lengths = self._lengths(self.texts.train)
        low, high = np.percentile(lengths, [1, 99])
        figures = {"mean": np.mean(lengths), "std": np.std(lengths), "p01": low, "p99": high}
        return {name: round(float(value), 6) for name, value in figures.items()}

    def _lengths(self, pairs: Pairs) -> Array:
        return np.array([len(row[IDS]) for row in self.encoder.encode_batch(pairs.texts)])

    def _read(self) -> PairData:
        config = self.config
        if self.data is None:
            made = config.paraphrases
            return load_paraphrases(config.seed, made.kind, made.train, made.validation, made.test)
        choice = PairChoice(
            columns=config.columns,
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=config.seed,
        )
        return load_pair_table(self.data, choice)

    def _tokenizer(self) -> TextEncoder:
        """The checkpoint's, or one fitted to the training texts."""
        config, checkpoint = self.config, self.checkpoint
        if checkpoint is not None:
            has_types = self.is_pair and checkpoint.takes_type_ids
            block = TextPreprocessing(
                max_tokens=min(config.max_tokens, checkpoint.max_tokens),
                is_pair=self.is_pair,
                type_ids_input=TYPE_IDS if has_types else None,
            )
            return TextEncoder(checkpoint.tokenizer_json, block)
        texts = self.texts.train.texts
        fitted = fit_tokenizer(texts, config.vocabulary, lowercase=config.lowercase)
        if self.is_pair:
            _separate(fitted)
        block = TextPreprocessing(
            max_tokens=config.max_tokens,
            is_pair=self.is_pair,
            type_ids_input=TYPE_IDS if self.is_pair else None,
        )
        return TextEncoder(fitted.to_str(), block)

    def _require_readable(self) -> None:
        """Texts of which the tokenizer keeps nothing are told before the training, not in its middle."""
        for split in (self.texts.train, self.texts.validation, self.texts.test):
            try:
                self.encoder.encode_batch(split.texts)
            except TextEmpty as error:
                text = next(text for text in split.texts if not self._is_readable(text))
                raise DataError(
                    f"{self.data}: the tokenizer keeps nothing of the text {text[:40]!r}; remove it"
                ) from error

    def _is_readable(self, text: str) -> bool:
        try:
            self.encoder.encode(text)
        except TextEmpty:
            return False
        return True


_KINDS = {
    "positive": "pairs that belong together",
    "scored": "pairs with scores",
    "triplet": "triplets",
}


def _separate(tokenizer: Tokenizer) -> None:
    """A token of its own between the two texts of a pair."""
    tokenizer.add_special_tokens([_SEPARATOR])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A",
        pair=f"$A {_SEPARATOR} $B:1",
        special_tokens=[(_SEPARATOR, tokenizer.token_to_id(_SEPARATOR))],
    )
