"""Question answering: the place in a passage that answers a question, or nothing.

A kind of work for `training.pipeline`. Letters: N questions, B batch, T tokens.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from models.blocks import SpanPostprocessing, TextPreprocessing
from models.datatypes import DataType
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from models.transforms.spans import Found, trimmed
from models.transforms.text import TextEncoder
from training import answer_metrics, optimizer
from training.data.padded_loader import (
    PaddedBatch,
    calibration_batches,
    pad_token_rows,
    padded_loader,
)
from training.data.pair_tokenizer import with_pair_marks
from training.data.question_facts import load_question_facts
from training.data.question_windows import (
    END,
    START,
    QuestionWindow,
    SpanLogits,
    found_answers,
    question_windows,
)
from training.data.questions import QuestionData, Questions, fold_of
from training.data.squad import SquadChoice, load_squad
from training.data.text_tokenizer import fit_tokenizer
from training.errors import DataError
from training.networks.span_reader import SpanHead, SpanReader
from training.networks.text_registry import build_encoder, is_limited
from training.pretrained import TextCheckpoint
from training.tasks.answer_judge import AnswerJudge, best_threshold
from training.tasks.question_settings import QuestionAnsweringConfig
from training.tasks.text_checkpoint import CheckpointSource
from training.work import Array, Arrays, ExportPlan, Predict, Work

_EVALUATION_BATCH = 64
_IDS, _MASK, _TYPES = "input_ids", "attention_mask", "token_type_ids"
_INPUTS = (_IDS, _MASK, _TYPES)
_OUTPUTS = ("start_logits", "end_logits")


class QuestionAnsweringModule(lightning.LightningModule):
    """Loss and optimiser around the network. Batches are of `QuestionWindow.row`."""

    def __init__(self, network: SpanHead | SpanReader, config: QuestionAnsweringConfig) -> None:
        super().__init__()
        self.network = network
        self._config = config

    def training_step(self, batch: PaddedBatch, _: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: PaddedBatch, _: int) -> None:
        self.log("val_loss", self._loss(batch), batch_size=len(batch[START]))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        return optimizer.configure(self.network, config.optim, steps, config.pretrained)

    def _loss(self, batch: PaddedBatch) -> Tensor:
        """Mean of both ends' cross-entropy over the window's tokens."""
        start, end = self.network(batch[_IDS], batch[_MASK], batch[_TYPES])
        return (
            functional.cross_entropy(start.float(), batch[START])
            + functional.cross_entropy(end.float(), batch[END])
        ) / 2


class QuestionAnsweringWork(Work[QuestionAnsweringConfig]):
    """One run. `prepare` must come first."""

    texts: QuestionData
    encoder: TextEncoder
    tokenizer_json: str
    checkpoint: TextCheckpoint | None = None
    no_answer_threshold: float = 0.0
    _source: CheckpointSource | None = None
    _windows: dict[str, list[QuestionWindow]]

    def prepare(self) -> None:
        self.texts = self._read()
        self._encode_splits()

    def _encode_splits(self) -> None:
        self.encoder = self._tokenizer()
        splits: dict[str, Questions] = {
            "train": self.texts.train,
            "validation": self.texts.validation,
            "test": self.texts.test,
        }
        self._windows = {
            name: question_windows(split, self.encoder) for name, split in splits.items()
        }
        for name, windows in self._windows.items():
            if not windows:
                raise DataError(
                    f"no {name} question leaves room for its passage in max_tokens "
                    f"{self.encoder.block.max_tokens}; set it higher"
                )
        self._judge = AnswerJudge(self.texts, self.config.seed)

    def data_summary(self) -> dict[str, str]:
        windows = self._windows["train"]
        tokens = float(np.mean([len(window.encoded.sequence) for window in windows]))
        notes = [*self.texts.notes]
        if left := len(self.texts.train) - len({window.question for window in windows}):
            notes.append(
                f"{left:,} training questions too long for {self.config.max_tokens} tokens"
            )
        summary = {
            "data set": self.texts.name
            + (", some questions without an answer" if self.texts.may_have_no_answer else ""),
            "train": f"{len(self.texts.train):,} questions, {len(windows):,} windows of "
            f"{tokens:.1f} tokens on average",
            "validation": f"{len(self.texts.validation):,} questions",
            "test": f"{len(self.texts.test):,} questions",
            "tokenizer": f"{self.encoder.tokenizer.get_vocab_size():,} tokens",
        }
        if self._source is not None and self.checkpoint is not None:
            summary["checkpoint"] = self._source.summary(self.checkpoint)
        return summary | ({"notes": "; ".join(notes)} if notes else {})

    def data_sha256(self) -> str:
        return self.texts.sha256()

    def lightning_module(self) -> QuestionAnsweringModule:
        """Reads the checkpoint anew, so that a second training starts where the first one did."""
        config = self.config
        encoder = build_encoder(
            config,
            vocabulary=self.encoder.tokenizer.get_vocab_size(),
            max_tokens=self.encoder.block.max_tokens,
            checkpoint=self._source.load() if self._source is not None else None,
        )
        network: SpanHead | SpanReader
        if config.network == "pretrained":
            network = SpanHead(encoder, dropout=config.dropout)
        else:
            network = SpanReader(encoder, units=config.reader_units, dropout=config.dropout)
        return QuestionAnsweringModule(network, config)

    def train_loader(self) -> DataLoader[Any]:
        return self._loader("train", shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return self._loader("validation", shuffle=False)

    def fold(self, number: int, count: int) -> "QuestionAnsweringWork":
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
        assert isinstance(module, QuestionAnsweringModule)
        axes: tuple[str, ...] = ("batch", "sequence")
        longest = self.encoder.block.max_tokens
        return ExportPlan(
            module.network,
            tuple(
                TensorSpec(
                    name=name,
                    dtype=DataType.INT64,
                    shape=axes,
                    pad_axes=("sequence",),
                    pad_value=self._fill.get(name, 0),
                )
                for name in _INPUTS
            ),
            tuple(TensorSpec(name=name, dtype=DataType.FLOAT, shape=axes) for name in _OUTPUTS),
            lengths=(*(length for length in (5, 33) if length < longest), longest),
            axis_limits={"sequence": (1, longest)} if is_limited(self.config) else {},
        )

    def calibrate(self, predict: Predict) -> None:
        """Chooses from which lead on `nothing` is the answer."""
        if not self.texts.may_have_no_answer:
            return
        questions = self.texts.validation
        found = self._found("validation", predict)
        rows = [(one, each) for one, each in zip(questions, found, strict=True) if each is not None]
        self.no_answer_threshold = best_threshold(
            np.array([each.nothing_lead for _, each in rows]),
            np.array(
                [answer_metrics.f1(_text(one.context, each), one.texts) for one, each in rows]
            ),
            np.array([answer_metrics.f1("", one.texts) for one, _ in rows]),
        )

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Exact match first, then F1, beside the words of the sentence most like the question."""
        return self._judge.evaluations(self._answers(predict))

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Test windows; of a given length: the first row full, the others as long as they are."""
        windows = self._windows["test"]
        order = np.random.default_rng(0).permutation(len(windows))
        rows = [_inputs(windows[row]) for row in np.resize(order, batch)]
        if length is not None:
            rows[0] = {name: np.resize(array, length) for name, array in rows[0].items()}
        return pad_token_rows(rows, length, self._fill)

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan, config = self.export_plan(module), self.config
        return ManifestDraft(
            name=config.name,
            task=config.task,
            description=f"Answers questions about a passage, as in {self.texts.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=self.encoder.block,
            postprocessing=SpanPostprocessing(
                max_answer_tokens=config.max_answer_tokens,
                may_have_no_answer=self.texts.may_have_no_answer,
                no_answer_threshold=self.no_answer_threshold,
            ),
            batching=config.batching,
            reference={"tokens": _statistics(self._windows["train"])},
        )

    def write_assets(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text(self.tokenizer_json, encoding="utf-8")

    def plots(self, folder: Path, predict: Predict) -> None:
        self._judge.draw(folder, self._answers(predict))

    def item_scores(self, predict: Predict) -> Array:
        return self._judge.exact_matches(self._answers(predict))

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-dynamic",)

    def calibration_inputs(self) -> Iterable[Arrays]:
        rows = [_inputs(window) for window in self._windows["validation"]]
        return calibration_batches(rows, self._fill)

    def _read(self) -> QuestionData:
        config = self.config
        if self.data is None:
            made = config.facts
            return load_question_facts(
                config.seed, made.train, made.validation, made.test, made.no_answer_fraction
            )
        choice = SquadChoice(config.validation_fraction, config.test_fraction, config.seed)
        return load_squad(self.data, choice)

    def _tokenizer(self) -> TextEncoder:
        """The checkpoint's, or one fitted to the training passages and questions."""
        config, train = self.config, self.texts.train
        texts = [*dict.fromkeys(one.context for one in train), *(one.question for one in train)]
        limit = config.max_tokens
        if config.network == "pretrained":
            self._source = CheckpointSource(config, texts if self.data is None else None)
            self.checkpoint = self._source.load()
            limit = min(limit, self.checkpoint.max_tokens)
            self.tokenizer_json = self.checkpoint.tokenizer_json
        else:
            fitted = fit_tokenizer(texts, config.vocabulary, lowercase=config.lowercase)
            self.tokenizer_json = with_pair_marks(fitted).to_str()
        block = TextPreprocessing(
            max_tokens=limit,
            is_pair=True,
            stride_tokens=min(config.stride_tokens, limit // 2),
            type_ids_input=_TYPES,
        )
        return TextEncoder(self.tokenizer_json, block)

    def _loader(self, name: str, *, shuffle: bool) -> DataLoader[Any]:
        rows = [window.row for window in self._windows[name]]
        return padded_loader(
            rows, batch_size=self.config.batch_size, shuffle=shuffle, fill=self._fill
        )

    @property
    def _fill(self) -> dict[str, int]:
        """What padding holds."""
        padding = self.checkpoint.special.padding if self.checkpoint else None
        return {_IDS: padding or 0}

    def _logits(self, split: str, predict: Predict) -> list[SpanLogits]:
        """Both logits [T] of each window, asked in batches of similar length."""
        windows = self._windows[split]
        lengths = [len(window.encoded.sequence) for window in windows]
        answers: dict[int, SpanLogits] = {}
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), _EVALUATION_BATCH):
            chosen = order[start : start + _EVALUATION_BATCH]
            rows = [_inputs(windows[row]) for row in chosen]
            given = predict(pad_token_rows(rows, fill=self._fill))
            for place, row in enumerate(chosen):
                first, last = (given[name][place, : lengths[row]] for name in _OUTPUTS)
                answers[int(row)] = first, last
        return [answers[row] for row in range(len(windows))]

    def _found(self, split: str, predict: Predict) -> list[Found | None]:
        questions = self.texts.test if split == "test" else self.texts.validation
        return found_answers(
            self._windows[split],
            self._logits(split, predict),
            len(questions),
            max_answer_tokens=self.config.max_answer_tokens,
            may_have_no_answer=self.texts.may_have_no_answer,
        )

    def _answers(self, predict: Predict) -> list[str]:
        """The text answered to each test question; empty where it is nothing."""
        answers = []
        for one, found in zip(self.texts.test, self._found("test", predict), strict=True):
            is_nothing = found is None or found.nothing_lead >= self.no_answer_threshold
            can_be_nothing = found is None or self.texts.may_have_no_answer
            answers.append("" if is_nothing and can_be_nothing else _text(one.context, found))
        return answers


def _text(context: str, found: Found | None) -> str:
    if found is None or not found.answers:
        return ""
    start, end = trimmed(context, found.answers[0].start, found.answers[0].end)
    return context[start:end]


def _inputs(window: QuestionWindow) -> Arrays:
    return {name: np.asarray(window.row[name]) for name in _INPUTS}


def _statistics(windows: list[QuestionWindow]) -> dict[str, float]:
    """What drift is measured against: tokens in a training window."""
    lengths: Array = np.array([len(window.encoded.sequence) for window in windows])
    low, high = np.percentile(lengths, [1, 99])
    figures = {"mean": np.mean(lengths), "std": np.std(lengths), "p01": low, "p99": high}
    return {name: round(float(value), 6) for name, value in figures.items()}
