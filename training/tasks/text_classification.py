"""Text classification: language, opinion, or the classes of anybody's labelled texts.

A kind of work for `training.pipeline`. Letters: N texts, B batch, T tokens, K classes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.utils.data import DataLoader

from models.blocks import ClassificationPostprocessing, TextPreprocessing
from models.datatypes import DataType
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from models.transforms.text import TextEncoder
from training import losses, metrics, optimizer, plots
from training.baselines import tfidf_predictions
from training.data.cldr import load_phrases
from training.data.labelled_text import LabelledText, TextData, fold_of
from training.data.opinions import load_opinions
from training.data.padded_loader import calibration_batches
from training.data.subwords import encode_varied
from training.data.text_table import TableChoice, load_text_table
from training.data.text_tokenizer import fit_tokenizer
from training.data.token_loader import TokenBatch, TokenDropout, pad_rows, token_loader
from training.networks.text_registry import build_classifier, is_limited
from training.pretrained import TextCheckpoint
from training.tasks import classification
from training.tasks.text_checkpoint import CheckpointSource
from training.tasks.text_settings import TextClassificationConfig
from training.work import Array, Arrays, CardTable, ExportPlan, Predict, Work

_EVALUATION_BATCH = 256
_SAMPLES = 12  # on the sample sheet
_IDS, _MASK, _LOGITS = "input_ids", "attention_mask", "logits"


class TextClassifierModule(lightning.LightningModule):
    """Loss and optimiser around the network. Batches are those of `training.data.token_loader`."""

    _class_weights: Tensor | None

    def __init__(
        self,
        network: torch.nn.Module,
        config: TextClassificationConfig,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._config = config
        self.register_buffer("_class_weights", class_weights, persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [B, T] twice → logits float [B, K]."""
        logits: Tensor = self.network(input_ids, attention_mask)
        return logits

    def training_step(self, batch: TokenBatch, _: int) -> Tensor:
        ids, mask, labels = batch
        loss = losses.classification_loss(
            self(ids, mask),
            labels,
            smoothing=self._config.label_smoothing,
            weights=self._class_weights,
        )
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: TokenBatch, _: int) -> None:
        ids, mask, labels = batch
        loss = losses.classification_loss(self(ids, mask), labels, weights=self._class_weights)
        self.log("val_loss", loss, batch_size=len(labels))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        return optimizer.configure(self.network, config.optim, steps, config.pretrained)


class TextClassificationWork(Work[TextClassificationConfig]):
    """One run. `prepare` must come first."""

    texts: TextData
    encoder: TextEncoder
    checkpoint: TextCheckpoint | None = None
    temperature: float = 1.0
    _rows: dict[str, list[Array]]
    _source: CheckpointSource | None = None
    _baseline: Array | None = None

    def prepare(self) -> None:
        self.texts = self._read()
        self._encode_splits()

    def _encode_splits(self) -> None:
        config = self.config
        if config.network == "pretrained":
            own = self.texts.train.texts if self.data is None else None
            self._source = CheckpointSource(config, own)
            self.checkpoint = self._source.load()
        self.encoder = self._tokenizer()
        # A checkpoint's pieces are those it was trained on; other ones would be strangers to it.
        merge_dropout = 0.0 if self.checkpoint else config.merge_dropout
        self._rows = {
            "train": encode_varied(
                self.texts.train.texts, self.encoder, merge_dropout, config.seed
            ),
            "validation": self._encode(self.texts.validation),
            "test": self._encode(self.texts.test),
        }

    def data_summary(self) -> dict[str, str]:
        lengths = [len(row) for row in self._rows["train"]]
        summary = {
            "data set": f"{self.texts.name}, {len(self.texts.classes)} classes",
            "train": f"{len(self.texts.train):,} texts, {np.mean(lengths):.1f} tokens on average",
            "validation": f"{len(self.texts.validation):,} texts",
            "test": f"{len(self.texts.test):,} texts",
            "tokenizer": f"{self.encoder.tokenizer.get_vocab_size():,} tokens",
        }
        if self._source is not None and self.checkpoint is not None:
            summary["checkpoint"] = self._source.summary(self.checkpoint)
        return summary | ({"notes": "; ".join(self.texts.notes)} if self.texts.notes else {})

    def data_sha256(self) -> str:
        return self.texts.sha256()

    def lightning_module(self) -> TextClassifierModule:
        """Reads the checkpoint anew, so that a second training starts where the first one did."""
        checkpoint = self._source.load() if self._source is not None else None
        network = build_classifier(
            self.config,
            vocabulary=self.encoder.tokenizer.get_vocab_size(),
            max_tokens=self.encoder.block.max_tokens,
            classes=len(self.texts.classes),
            checkpoint=checkpoint,
        )
        weights = losses.class_weights(
            self.texts.train.labels, len(self.texts.classes), self.config.class_weights
        )
        return TextClassifierModule(network, self.config, weights)

    def train_loader(self) -> DataLoader[Any]:
        return self._loader("train", self.texts.train, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return self._loader("validation", self.texts.validation, shuffle=False)

    def fold(self, number: int, count: int) -> "TextClassificationWork":
        config = self.config.model_copy(update={"baseline": False})
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
        assert isinstance(module, TextClassifierModule)
        padding = (self.checkpoint.special.padding or 0) if self.checkpoint else 0
        longest = self.encoder.block.max_tokens
        ids, mask = (
            TensorSpec(
                name=name,
                dtype=DataType.INT64,
                shape=("batch", "sequence"),
                pad_axes=("sequence",),
                pad_value=padding if name == _IDS else 0,
            )
            for name in (_IDS, _MASK)
        )
        logits = TensorSpec(
            name=_LOGITS, dtype=DataType.FLOAT, shape=("batch", len(self.texts.classes))
        )
        lengths = tuple(length for length in (1, 7, 33) if length < longest)
        return ExportPlan(
            module.network,
            (ids, mask),
            (logits,),
            lengths=(*lengths, longest),
            axis_limits={"sequence": (1, longest)} if is_limited(self.config) else {},
        )

    def calibrate(self, predict: Predict) -> None:
        logits = self._logits("validation", predict)
        self.temperature = metrics.fit_temperature(logits, self.texts.validation.labels)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Accuracy first, beside the majority class and, where quick, TF-IDF with regression."""
        logits = self._logits("test", predict)
        accuracy, *others = classification.evaluations(logits, self._held_out(), self.temperature)
        return (
            accuracy.model_copy(update={"baselines": accuracy.baselines | self._baselines()}),
            *others,
        )

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Test texts; of a given length: the first row full, the others as long as they are."""
        order = np.random.default_rng(0).permutation(len(self._rows["test"]))
        rows = [self._rows["test"][row] for row in np.resize(order, batch)]
        if length is not None:
            rows[0] = np.resize(rows[0], length)
        ids, mask = pad_rows(rows, length)
        return {_IDS: ids, _MASK: mask}

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Tells the {len(self.texts.classes)} classes of {self.texts.name} apart.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=self.encoder.block,
            postprocessing=ClassificationPostprocessing(
                top_k=min(self.config.top_k, len(self.texts.classes))
            ),
            batching=self.config.batching,
            temperature=self.temperature,
            reference={"tokens": _statistics([len(row) for row in self._encode(self.texts.train)])},
        )

    def write_assets(self, folder: Path) -> None:
        tokenizer = self.encoder.tokenizer.to_str()
        (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        labels = "".join(f"{name}\n" for name in self.texts.classes)
        (folder / "labels.txt").write_text(labels, encoding="utf-8")

    def plots(self, folder: Path, predict: Predict) -> None:
        logits, held_out = self._logits("test", predict), self._held_out()
        classification.draw(folder, logits, held_out, self.temperature)
        samples = classification.sample_rows(logits, held_out, _SAMPLES)
        texts = [f"{self.texts.test.texts[row]}\n→ {caption}" for row, caption in samples]
        plots.text_sheet(folder / "samples.png", texts)

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:
        logits = self._logits("test", predict)
        return classification.tables(logits, self._held_out(), self.temperature)

    def item_scores(self, predict: Predict) -> Array:
        return np.asarray(self._logits("test", predict).argmax(axis=1) == self.texts.test.labels)

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-dynamic",)

    def calibration_inputs(self) -> Iterable[Arrays]:
        rows = self._rows["validation"]
        return calibration_batches([{_IDS: row, _MASK: np.ones_like(row)} for row in rows])

    def _read(self) -> TextData:
        config = self.config
        if self.data is None:
            if config.sentences == "opinions":
                return load_opinions(config.seed, **dict(config.opinions))
            return load_phrases(config.seed, **dict(config.phrases))
        choice = TableChoice(
            text_column=config.text_column,
            label_column=config.label_column,
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=config.seed,
        )
        return load_text_table(self.data, choice)

    def _tokenizer(self) -> TextEncoder:
        config, checkpoint = self.config, self.checkpoint
        if checkpoint is not None:
            longest = min(config.max_tokens, checkpoint.max_tokens)
            return TextEncoder(checkpoint.tokenizer_json, TextPreprocessing(max_tokens=longest))
        fitted = fit_tokenizer(
            self.texts.train.texts, config.vocabulary, lowercase=config.lowercase
        )
        return TextEncoder(fitted.to_str(), TextPreprocessing(max_tokens=config.max_tokens))

    def _encode(self, split: LabelledText) -> list[Array]:
        return [row[_IDS] for row in self.encoder.encode_batch(split.texts)]

    def _loader(self, name: str, split: LabelledText, *, shuffle: bool) -> DataLoader[Any]:
        special = self.checkpoint.special if self.checkpoint else None
        kept = (special.start, special.separator) if special else ()
        return token_loader(
            self._rows[name],
            split.labels,
            batch_size=self.config.batch_size,
            shuffle=shuffle,
            dropout=TokenDropout(
                self.config.token_dropout if shuffle else 0.0,
                tuple(token for token in kept if token is not None),
            ),
        )

    def _logits(self, split: str, predict: Predict) -> Array:
        """float32 [N, K], asked in batches of similar length, answered in the split's order."""
        rows = self._rows[split]
        order = np.argsort([len(row) for row in rows], kind="stable")
        answers = np.empty((len(rows), len(self.texts.classes)), dtype=np.float32)
        for start in range(0, len(rows), _EVALUATION_BATCH):
            chosen = order[start : start + _EVALUATION_BATCH]
            ids, mask = pad_rows([rows[row] for row in chosen])
            answers[chosen] = predict({_IDS: ids, _MASK: mask})[_LOGITS]
        return answers

    def _held_out(self) -> classification.HeldOut:
        return classification.HeldOut(
            dataset=self.texts.name,
            split="test",
            labels=self.texts.test.labels,
            training_labels=self.texts.train.labels,
            class_names=self.texts.classes,
        )

    def _baselines(self) -> dict[str, float]:
        """Fitted once: every variant is judged beside the same one."""
        if not self.config.baseline:
            return {}
        if self._baseline is None:
            test = self.texts.test
            self._baseline = tfidf_predictions(self.texts.train, test.texts, self.config.seed)
        if self._baseline is None:
            return {}
        return {"tf-idf": metrics.accuracy(self.texts.test.labels, self._baseline)}


def _statistics(lengths: Sequence[int]) -> dict[str, float]:
    """What drift is measured against: tokens in a training text."""
    low, high = np.percentile(lengths, [1, 99])
    figures = {"mean": np.mean(lengths), "std": np.std(lengths), "p01": low, "p99": high}
    return {name: round(float(value), 6) for name, value in figures.items()}
