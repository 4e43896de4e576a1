"""Token classification: names of people, places and organisations in sentences, or anybody's tags.

A kind of work for `training.pipeline`. Letters: N sentences, W words, B batch, T tokens, K tags.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from models.blocks import TextPreprocessing, TokenClassificationPostprocessing
from models.datatypes import DataType
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from models.transforms.scores import softmax
from models.transforms.tags import TagDecoder, strict_entities
from models.transforms.words import WordEncoder
from training import losses, metrics, optimizer, plots
from training.data.conll import ConllChoice, load_conll
from training.data.entity_sentences import load_entity_sentences
from training.data.padded_loader import (
    IGNORED,
    PaddedBatch,
    calibration_batches,
    pad_token_rows,
    padded_loader,
)
from training.data.tagged_text import Sentences, TaggedData, fold_of
from training.data.tagged_tokens import TARGETS, TaggedTokens, tagged_tokens, word_tags
from training.data.text_tokenizer import fit_tokenizer
from training.networks.text_encoder import TokenClassifier
from training.networks.text_registry import build_encoder, is_limited
from training.pretrained import TextCheckpoint
from training.remembered import Remembered
from training.tasks import classification
from training.tasks.entity_judge import EntityJudge
from training.tasks.text_checkpoint import CheckpointSource
from training.tasks.token_settings import TokenClassificationConfig
from training.work import Array, Arrays, CardTable, ExportPlan, Predict, Work

_EVALUATION_BATCH = 128
_IDS, _MASK, _LOGITS = "input_ids", "attention_mask", "logits"


class TokenClassifierModule(lightning.LightningModule):
    """Loss and optimiser around the network. Batches have `input_ids`, `attention_mask`, `targets`."""

    _class_weights: Tensor | None

    def __init__(
        self,
        network: TokenClassifier,
        config: TokenClassificationConfig,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._config = config
        self.register_buffer("_class_weights", class_weights, persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [B, T] twice → logits float [B, T, K]."""
        logits: Tensor = self.network(input_ids, attention_mask)
        return logits

    def training_step(self, batch: PaddedBatch, _: int) -> Tensor:
        loss = self._loss(batch, self._config.label_smoothing)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: PaddedBatch, _: int) -> None:
        words = int((batch[TARGETS] != IGNORED).sum())
        if words:  # a batch of nothing but signs that the tokenizer drops has no loss
            self.log("val_loss", self._loss(batch, 0.0), batch_size=words)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        return optimizer.configure(self.network, config.optim, steps, config.pretrained)

    def _loss(self, batch: PaddedBatch, smoothing: float) -> Tensor:
        logits = self(batch[_IDS], batch[_MASK]).float()
        targets = batch[TARGETS]
        total = functional.cross_entropy(
            logits.flatten(0, 1),
            targets.flatten(),
            ignore_index=IGNORED,
            label_smoothing=smoothing,
            weight=self._class_weights,
            reduction="sum",
        )
        share = (targets != IGNORED).float()
        if self._class_weights is not None:
            share = share * self._class_weights[targets.clamp(min=0)]
        return total / share.sum().clamp(min=1e-6)  # nothing to learn from is a loss of zero


class TokenClassificationWork(Work[TokenClassificationConfig]):
    """One run. `prepare` must come first."""

    texts: TaggedData
    encoder: WordEncoder
    temperature: float = 1.0
    checkpoint: TextCheckpoint | None = None
    _source: CheckpointSource | None = None
    _rows: dict[str, list[TaggedTokens]]

    def prepare(self) -> None:
        self.texts = self._read()
        self._encode_splits()

    def _encode_splits(self) -> None:
        self.encoder = self._encoder()
        splits = {"train": self.texts.train, "validation": self.texts.validation}
        self._rows = {
            name: tagged_tokens(split, self.encoder, self.texts.labels)
            for name, split in (splits | {"test": self.texts.test}).items()
        }
        self._remembered: Remembered[list[Array]] = Remembered()
        self.decoder = TagDecoder(self.texts.labels)
        self._judge = EntityJudge(self.texts, self.config.seed)

    def data_summary(self) -> dict[str, str]:
        rows = self._rows["train"]
        tokens = float(np.mean([len(row.piece_of_token) for row in rows]))
        cut = sum(row.is_cut for split in self._rows.values() for row in split)
        notes = [*self.texts.notes]
        if cut:
            notes.append(f"{cut:,} sentences cut at {self.encoder.block.max_tokens} tokens")
        summary = {
            "data set": f"{self.texts.name}, entities {', '.join(self.texts.types)}",
            "train": f"{_size(self.texts.train)}, {tokens:.1f} tokens on average",
            "validation": _size(self.texts.validation),
            "test": _size(self.texts.test),
            "tokenizer": f"{self.encoder.tokenizer.get_vocab_size():,} tokens",
        }
        if self._source is not None and self.checkpoint is not None:
            summary["checkpoint"] = self._source.summary(self.checkpoint)
        return summary | ({"notes": "; ".join(notes)} if notes else {})

    def data_sha256(self) -> str:
        return self.texts.sha256()

    def lightning_module(self) -> TokenClassifierModule:
        """Reads the checkpoint anew, so that a second training starts where the first one did."""
        config = self.config
        encoder = build_encoder(
            config,
            vocabulary=self.encoder.tokenizer.get_vocab_size(),
            max_tokens=self.encoder.block.max_tokens,
            checkpoint=self._source.load() if self._source is not None else None,
        )
        network = TokenClassifier(encoder, classes=len(self.texts.labels), dropout=config.dropout)
        tags = [row.row[TARGETS] for row in self._rows["train"]]
        targets = np.concatenate([row[row != IGNORED] for row in tags])
        weights = losses.class_weights(targets, len(self.texts.labels), config.class_weights)
        return TokenClassifierModule(network, config, weights)

    def train_loader(self) -> DataLoader[Any]:
        return self._loader("train", shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return self._loader("validation", shuffle=False)

    def fold(self, number: int, count: int) -> "TokenClassificationWork":
        config = self.config
        fold = type(self)(config, self.data)
        fold.texts = fold_of(
            self.texts,
            number,
            count,
            validation_fraction=config.validation_fraction,
            seed=config.seed,
        )
        fold._encode_splits()
        return fold

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, TokenClassifierModule)
        axes: tuple[str, ...] = ("batch", "sequence")
        ids, mask = (
            TensorSpec(
                name=name,
                dtype=DataType.INT64,
                shape=axes,
                pad_axes=("sequence",),
                pad_value=self._fill.get(name, 0),
            )
            for name in (_IDS, _MASK)
        )
        logits = TensorSpec(
            name=_LOGITS, dtype=DataType.FLOAT, shape=(*axes, len(self.texts.labels))
        )
        longest = self.encoder.block.max_tokens
        lengths = tuple(length for length in (3, 7, 33) if length < longest)
        return ExportPlan(
            module.network,
            (ids, mask),
            (logits,),
            lengths=(*lengths, longest),
            axis_limits={"sequence": (1, longest)} if is_limited(self.config) else {},
        )

    def calibrate(self, predict: Predict) -> None:
        logits, targets = self._words("validation", predict)
        self.temperature = metrics.fit_temperature(logits, targets)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Entity F1 first, beside the commonest tag of each word; then the calibration of words."""
        figures = self._judge.evaluations(self._tags("test", predict))
        logits, targets = self._words("test", predict)
        return (*figures, self._judge.calibration(logits, targets, self.temperature))

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Test sentences; of a given length: the first row full, the others as long as they are."""
        rows = self._rows["test"]
        order = np.random.default_rng(0).permutation(len(rows))
        chosen = [_inputs(rows[row]) for row in np.resize(order, batch)]
        if length is not None:
            chosen[0] = {name: np.resize(array, length) for name, array in chosen[0].items()}
        return pad_token_rows(chosen, length, self._fill)

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Finds {', '.join(self.texts.types)} in text, as in {self.texts.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=self.encoder.block,
            postprocessing=TokenClassificationPostprocessing(),
            batching=self.config.batching,
            temperature=self.temperature,
            reference={"tokens": _statistics(self._rows["train"])},
        )

    def write_assets(self, folder: Path) -> None:
        tokenizer = self.encoder.tokenizer_json
        (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        labels = "".join(f"{name}\n" for name in self.texts.labels)
        (folder / "labels.txt").write_text(labels, encoding="utf-8")

    def plots(self, folder: Path, predict: Predict) -> None:
        self._judge.draw(folder, self._tags("test", predict))
        logits, targets = self._words("test", predict)
        raw, honest = (np.asarray(softmax(logits, divisor)) for divisor in (1.0, self.temperature))
        plots.reliability_diagram(folder / "reliability.png", honest, targets, uncalibrated=raw)

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:
        """Of words, not of entities."""
        logits, targets = self._words("test", predict)
        learned = np.concatenate([row.row[TARGETS] for row in self._rows["train"]])
        words = classification.HeldOut(
            dataset=self.texts.name,
            split="test",
            labels=targets,
            training_labels=learned[learned != IGNORED],
            class_names=self.texts.labels,
        )
        return classification.tables(logits, words, self.temperature)

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-dynamic",)

    def calibration_inputs(self) -> Iterable[Arrays]:
        rows = [row for row in self._rows["validation"] if len(row.piece_of_token)]
        return calibration_batches([_inputs(row) for row in rows], self._fill)

    def _read(self) -> TaggedData:
        config = self.config
        if self.data is None:
            made = config.sentences
            return load_entity_sentences(config.seed, made.train, made.validation, made.test)
        choice = ConllChoice(
            token_prefix=config.token_prefix,
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=config.seed,
        )
        return load_conll(self.data, choice)

    def _encoder(self) -> WordEncoder:
        """The checkpoint's tokenizer, or one fitted to the training sentences."""
        config = self.config
        limit = config.max_tokens
        texts = [" ".join(sentence.words) for sentence in self.texts.train]
        if config.network == "pretrained":
            self._source = CheckpointSource(config, texts if self.data is None else None)
            self.checkpoint = self._source.load()
            limit = min(limit, self.checkpoint.max_tokens)
            tokenizer = self.checkpoint.tokenizer_json
        else:
            fitted = fit_tokenizer(texts, config.vocabulary, lowercase=config.lowercase)
            tokenizer = fitted.to_str()
        return WordEncoder(tokenizer, TextPreprocessing(max_tokens=limit))

    def _loader(self, name: str, *, shuffle: bool) -> DataLoader[Any]:
        rows = [row.row for row in self._rows[name] if len(row.piece_of_token)]
        return padded_loader(
            rows, batch_size=self.config.batch_size, shuffle=shuffle, fill=self._fill
        )

    @property
    def _fill(self) -> dict[str, int]:
        """What padding holds."""
        padding = self.checkpoint.special.padding if self.checkpoint else None
        return {_IDS: padding or 0, _MASK: 0, TARGETS: IGNORED}

    def _logits(self, split: str, predict: Predict) -> list[Array]:
        """float32 [T, K] for each sentence."""
        return self._remembered.get(split, predict, lambda: self._ask(split, predict))

    def _ask(self, split: str, predict: Predict) -> list[Array]:
        """In batches of similar length."""
        rows = self._rows[split]
        lengths = [len(row.piece_of_token) for row in rows]
        answers = [np.zeros((0, len(self.texts.labels)), dtype=np.float32)] * len(rows)
        order = [row for row in np.argsort(lengths, kind="stable") if lengths[row]]
        for start in range(0, len(order), _EVALUATION_BATCH):
            chosen = order[start : start + _EVALUATION_BATCH]
            batch = pad_token_rows([_inputs(rows[row]) for row in chosen], fill=self._fill)
            logits = predict(batch)[_LOGITS]
            for position, row in enumerate(chosen):
                answers[row] = logits[position, : lengths[row]]
        return answers

    def _tags(self, split: str, predict: Predict) -> list[list[str]]:
        """For each sentence the tags of its words, as the service would decode them."""
        return [
            word_tags(logits, tokens, self.decoder)
            for logits, tokens in zip(self._logits(split, predict), self._rows[split], strict=True)
        ]

    def _words(self, split: str, predict: Predict) -> tuple[Array, Array]:
        """(logits [n, K], targets [n]) of all tokens of the split that have a target."""
        pairs = zip(self._logits(split, predict), self._rows[split], strict=True)
        parts = [(logits, tokens.row[TARGETS]) for logits, tokens in pairs]
        logits = np.concatenate([logits[targets != IGNORED] for logits, targets in parts])
        targets = np.concatenate([targets[targets != IGNORED] for _, targets in parts])
        return logits, targets


def _inputs(tokens: TaggedTokens) -> Arrays:
    return {name: tokens.row[name] for name in (_IDS, _MASK)}


def _size(sentences: Sentences) -> str:
    entities = sum(len(strict_entities(sentence.tags)) for sentence in sentences)
    return f"{len(sentences):,} sentences, {entities:,} entities"


def _statistics(rows: Sequence[TaggedTokens]) -> dict[str, float]:
    """What drift is measured against: tokens in a training sentence."""
    lengths = [len(row.piece_of_token) for row in rows]
    low, high = np.percentile(lengths, [1, 99])
    figures = {"mean": np.mean(lengths), "std": np.std(lengths), "p01": low, "p99": high}
    return {name: round(float(value), 6) for name, value in figures.items()}
