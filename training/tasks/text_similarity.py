"""Text similarity: a cross-encoder reads two texts together and says how well they belong together.

A kind of work for `training.pipeline` (Nogueira and Cho 2019, arXiv:1901.04085). Of pairs that belong
together and of triplets it learns to tell right from wrong, of scored pairs the score. Letters: B rows,
N pairs, T tokens.
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

from models.blocks import ScorePostprocessing
from models.datatypes import DataType
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from training import optimizer
from training.data.cross_loader import TARGETS, CrossBatch, CrossRows, cross_loader
from training.data.padded_loader import calibration_batches, pad_token_rows
from training.data.text_pairs import Pairs
from training.networks.pair_scorer import PairScorer
from training.networks.text_encoder import SequenceClassifier
from training.networks.text_registry import POOLING, build_encoder
from training.tasks import pair_judge
from training.tasks.pair_settings import TextSimilarityConfig
from training.tasks.pair_work import IDS, MASK, TYPE_IDS, PairWork
from training.work import Array, Arrays, ExportPlan, Predict

_EVALUATION_BATCH = 128
_LOGITS = "logits"


class TextSimilarityModule(lightning.LightningModule):
    """Loss and optimiser around the network. Batches are those of `training.data.cross_loader`."""

    def __init__(
        self, network: SequenceClassifier | PairScorer, config: TextSimilarityConfig
    ) -> None:
        super().__init__()
        self.network = network
        self._config = config

    def forward(self, *inputs: Tensor) -> Tensor:
        """ids and mask int64 [B, T], and type ids where the encoder takes them → logits float [B, 1]."""
        logits: Tensor = self.network(*inputs)
        return logits

    def training_step(self, batch: CrossBatch, _: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: CrossBatch, _: int) -> None:
        self.log("val_loss", self._loss(batch), batch_size=len(batch[TARGETS]))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        return optimizer.configure(self.network, config.optim, steps, config.pretrained)

    def _loss(self, batch: CrossBatch) -> Tensor:
        inputs = [batch[name] for name in (IDS, MASK, TYPE_IDS) if name in batch]
        logits = self(*inputs).float().squeeze(1)
        if self._config.loss == "mse":
            return functional.mse_loss(logits, batch[TARGETS])
        return functional.binary_cross_entropy_with_logits(logits, batch[TARGETS])


class TextSimilarityWork(PairWork[TextSimilarityConfig]):
    """One run. `prepare` must come first."""

    is_pair = True

    def settle(self) -> None:
        super().settle()
        texts, config = self.texts, self.config
        self._ranking = pair_judge.ranking_of(texts.test, config.seed, config.candidates)
        self._tfidf = pair_judge.TfIdf(texts.train.texts)
        self._baselines: dict[str, float] = {}

    def lightning_module(self) -> TextSimilarityModule:
        """Reads the checkpoint anew, so that a second training starts where the first one did."""
        config = self.config
        encoder = build_encoder(
            config,
            vocabulary=self.encoder.tokenizer.get_vocab_size(),
            max_tokens=self.encoder.block.max_tokens,
            checkpoint=self._source.load() if self._source is not None else None,
        )
        network: SequenceClassifier | PairScorer
        if self.checkpoint is not None:
            network = SequenceClassifier(
                encoder, classes=1, pooling=POOLING[config.network], dropout=config.dropout
            )
        else:
            network = PairScorer(encoder, dropout=config.dropout)
        return TextSimilarityModule(network, config)

    def train_loader(self) -> DataLoader[Any]:
        return self._loader(self.texts.train, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return self._loader(self.texts.validation, shuffle=False)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, TextSimilarityModule)
        output = TensorSpec(name=_LOGITS, dtype=DataType.FLOAT, shape=("batch", 1))
        return self.token_plan(module.network, self._names(), output)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Spearman of scored pairs, or reciprocal ranks among candidates; Spearman too where there are
        scores."""
        texts, seed = self.texts, self.config.seed
        scored = texts.test if texts.kind == "scored" else texts.graded
        figures: list[Evaluation] = []
        if texts.kind != "scored":
            found = pair_judge.ranks(self._ranking, self._ranked(predict))
            baselines = self._baseline("mrr", texts.test)
            figures += pair_judge.ranking_figures(texts.name, found, seed, baselines)
        if scored is not None:
            predicted = self._scores(scored, predict)
            baselines = self._baseline("spearman", scored)
            figures.append(
                pair_judge.spearman_figure(texts.name, predicted, scored.scores, seed, baselines)
            )
        return tuple(figures)

    def item_scores(self, predict: Predict) -> Array | None:
        if self.texts.kind == "scored":
            return None  # a rank correlation
        return pair_judge.ranks(self._ranking, self._ranked(predict))

    def calibration_inputs(self) -> Iterable[Arrays]:
        validation = self.texts.validation
        pairs = list(zip(validation.first, validation.second, strict=True))
        return calibration_batches(self.encoder.encode_pairs(pairs))

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Test pairs; of a given length: the first row full, the others as long as they are."""
        test = self.texts.test
        order = np.random.default_rng(0).permutation(len(test))
        chosen = [(test.first[row], test.second[row]) for row in np.resize(order, batch)]
        rows = self.encoder.encode_pairs(chosen)
        if length is not None:
            rows[0] = {name: np.resize(array, length) for name, array in rows[0].items()}
        return pad_token_rows(rows, length)

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        config = self.config
        low, high = self.texts.score_range
        is_regression = config.loss == "mse"
        return ManifestDraft(
            name=config.name,
            task=config.task,
            description=f"Says how well two texts belong together, as in {self.texts.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=self.encoder.block,
            postprocessing=ScorePostprocessing(
                activation="none" if is_regression else "sigmoid",
                scale=high - low if low == 0 else 1.0,
            ),
            batching=config.batching,
            reference={"tokens": self.token_statistics()},
        )

    def plots(self, folder: Path, predict: Predict) -> None:
        if self.texts.kind == "scored":
            test = self.texts.test
            pair_judge.draw_scores(folder, test, self._scores(test, predict))
        else:
            pair_judge.draw_ranking(folder, self._ranking, self._ranked(predict))

    def _names(self) -> tuple[str, ...]:
        return (IDS, MASK) if self.encoder.block.type_ids_input is None else (IDS, MASK, TYPE_IDS)

    def _loader(self, pairs: Pairs, *, shuffle: bool) -> DataLoader[Any]:
        rows = CrossRows(
            pairs, self.encoder, score_range=self.texts.score_range, negatives=self.config.negatives
        )
        return cross_loader(rows, batch_size=self.config.batch_size, shuffle=shuffle)

    def _asked(self, pairs: Sequence[tuple[str, str]], predict: Predict) -> Array:
        """float32 [N], asked in batches of similar length, answered in the order of the pairs."""
        rows = self.encoder.encode_pairs(pairs)
        order = np.argsort([len(row[IDS]) for row in rows], kind="stable")
        answers = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), _EVALUATION_BATCH):
            chosen = order[start : start + _EVALUATION_BATCH]
            answers[chosen] = predict(pad_token_rows([rows[row] for row in chosen]))[_LOGITS][:, 0]
        return answers

    def _scores(self, pairs: Pairs, predict: Predict) -> Array:
        return self._asked(list(zip(pairs.first, pairs.second, strict=True)), predict)

    def _ranked(self, predict: Predict) -> Array:
        """float32 [rows, candidates of each]."""
        ranking = self._ranking
        assert ranking.candidates is not None
        pairs = [
            (query, ranking.texts[candidate])
            for query, row in zip(ranking.queries, ranking.candidates, strict=True)
            for candidate in row
        ]
        return self._asked(pairs, predict).reshape(ranking.candidates.shape)

    def _baseline(self, metric: str, pairs: Pairs) -> dict[str, float]:
        """Measured once: every variant is judged beside the same one."""
        if not self.config.baseline:
            return {}
        if metric not in self._baselines:
            value = (
                self._tfidf.mrr(self._ranking) if metric == "mrr" else self._tfidf.spearman(pairs)
            )
            self._baselines[metric] = value
        return {"tf-idf": self._baselines[metric]}
