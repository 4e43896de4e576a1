"""Sentence embedding: a vector for a text, such that texts that belong together point the same way.

A kind of work for `training.pipeline` (a bi-encoder: Reimers and Gurevych 2019, arXiv:1908.10084). Letters:
B batch, N texts, T tokens, D dimensions.
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

from models.blocks import EmbeddingPostprocessing
from models.datatypes import DataType
from models.errors import UsageError
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from models.transforms.vectors import cosine
from training import optimizer
from training.data.padded_loader import calibration_batches, pad_token_rows
from training.data.pair_loader import PairBatch, pair_loader, text_numbers
from training.data.text_pairs import Pairs
from training.networks.sentence_encoder import SentenceEncoder
from training.networks.text_registry import build_encoder
from training.pair_losses import at_dimensions, cosent_loss, cosine_loss, ranking_loss
from training.tasks import pair_judge
from training.tasks.pair_settings import SentenceEmbeddingConfig
from training.tasks.pair_work import IDS, MASK, PairWork
from training.work import Array, Arrays, ExportPlan, Predict

_EVALUATION_BATCH = 128
_EMBEDDING = "embedding"


class SentenceEmbeddingModule(lightning.LightningModule):
    """Loss and optimiser around the network. Batches are those of `training.data.pair_loader`."""

    def __init__(self, network: SentenceEncoder, config: SentenceEmbeddingConfig) -> None:
        super().__init__()
        self.network = network
        self._config = config

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [B, T] twice → float [B, D]."""
        vectors: Tensor = self.network(input_ids, attention_mask)
        return vectors

    def training_step(self, batch: PairBatch, _: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: PairBatch, _: int) -> None:
        self.log("val_loss", self._loss(batch), batch_size=len(batch["first_number"]))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        return optimizer.configure(self.network, config.optim, steps, config.pretrained)

    def _loss(self, batch: PairBatch) -> Tensor:
        columns = [name for name in ("first", "second", "negative") if f"{name}_{IDS}" in batch]
        first, *others = (
            self(batch[f"{name}_{IDS}"], batch[f"{name}_{MASK}"]).float() for name in columns
        )
        second = torch.cat(others)
        config = self._config
        if "scores" not in batch:
            is_same = _same_texts(batch)

            def loss(a: Tensor, b: Tensor) -> Tensor:
                return ranking_loss(a, b, config.scale, is_same)

        elif config.scored_loss == "cosent":

            def loss(a: Tensor, b: Tensor) -> Tensor:
                return cosent_loss(a, b, batch["scores"], config.scale)

        else:

            def loss(a: Tensor, b: Tensor) -> Tensor:
                return cosine_loss(a, b, batch["scores"])

        return at_dimensions(loss, first, second, config.matryoshka)


def _same_texts(batch: PairBatch) -> Tensor:
    """bool [B, N]: candidates that are the row's own right answer again, or another of its answers."""
    first, second = batch["first_number"], batch["second_number"]
    is_same = (second[:, None] == second[None, :]) | (first[:, None] == first[None, :])
    is_same |= first[:, None] == second[None, :]
    if "negative_number" not in batch:
        return is_same
    wrong = batch["negative_number"]
    return torch.cat([is_same, second[:, None] == wrong[None, :]], dim=1)


class SentenceEmbeddingWork(PairWork[SentenceEmbeddingConfig]):
    """One run. `prepare` must come first."""

    is_pair = False

    def settle(self) -> None:
        super().settle()
        texts = self.texts
        self._ranking = pair_judge.ranking_of(texts.test, self.config.seed)
        self._tfidf = pair_judge.TfIdf(texts.train.texts)
        self._baselines: dict[str, float] = {}

    def lightning_module(self) -> SentenceEmbeddingModule:
        """Reads the checkpoint anew, so that a second training starts where the first one did."""
        config = self.config
        encoder = build_encoder(
            config,
            vocabulary=self.encoder.tokenizer.get_vocab_size(),
            max_tokens=self.encoder.block.max_tokens,
            checkpoint=self._source.load() if self._source is not None else None,
        )
        network = SentenceEncoder(encoder, pooling=config.pooling)
        if config.matryoshka and max(config.matryoshka) >= network.dimensions:
            raise UsageError(
                f"matryoshka={','.join(map(str, config.matryoshka))}: each must be less than the "
                f"vector's {network.dimensions} numbers"
            )
        return SentenceEmbeddingModule(network, config)

    def train_loader(self) -> DataLoader[Any]:
        return self._loader(self.texts.train, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return self._loader(self.texts.validation, shuffle=False)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, SentenceEmbeddingModule)
        network = module.network
        output = TensorSpec(
            name=_EMBEDDING, dtype=DataType.FLOAT, shape=("batch", network.dimensions)
        )
        return self.token_plan(network, (IDS, MASK), output)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Spearman of scored pairs, or reciprocal ranks first and Spearman where there are scores too."""
        texts, seed = self.texts, self.config.seed
        scored = texts.test if texts.kind == "scored" else texts.graded
        figures: list[Evaluation] = []
        if texts.kind != "scored":
            found = pair_judge.ranks(self._ranking, self._similarity(predict))
            baselines = self._baseline("mrr", texts.test)
            figures += pair_judge.ranking_figures(texts.name, found, seed, baselines)
        if scored is not None:
            predicted = self._cosines(scored, predict)
            baselines = self._baseline("spearman", scored)
            figures.append(
                pair_judge.spearman_figure(texts.name, predicted, scored.scores, seed, baselines)
            )
        return tuple(figures)

    def item_scores(self, predict: Predict) -> Array | None:
        if self.texts.kind == "scored":
            return None  # a rank correlation
        return pair_judge.ranks(self._ranking, self._similarity(predict))

    def calibration_inputs(self) -> Iterable[Arrays]:
        return calibration_batches(self.encoder.encode_batch(self.texts.validation.texts))

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Test texts; of a given length: the first row full, the others as long as they are."""
        texts = self.texts.test.texts
        order = np.random.default_rng(0).permutation(len(texts))
        rows = self.encoder.encode_batch([texts[row] for row in np.resize(order, batch)])
        if length is not None:
            rows[0] = {name: np.resize(array, length) for name, array in rows[0].items()}
        return pad_token_rows(rows, length)

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        config = self.config
        return ManifestDraft(
            name=config.name,
            task=config.task,
            description=f"Vectors of texts, learned from {self.texts.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=self.encoder.block,
            postprocessing=EmbeddingPostprocessing(
                is_normalised=config.normalise, may_be_shortened=bool(config.matryoshka)
            ),
            batching=config.batching,
            reference={"tokens": self.token_statistics()},
        )

    def plots(self, folder: Path, predict: Predict) -> None:
        if self.texts.kind == "scored":
            test = self.texts.test
            pair_judge.draw_scores(folder, test, self._cosines(test, predict))
        else:
            pair_judge.draw_ranking(folder, self._ranking, self._similarity(predict))

    def _loader(self, pairs: Pairs, *, shuffle: bool) -> DataLoader[Any]:
        columns = {"first": pairs.first, "second": pairs.second}
        if pairs.negatives:
            columns["negative"] = pairs.negatives
        numbers = text_numbers(*columns.values())
        more: Arrays = {
            f"{name}_number": column for name, column in zip(columns, numbers, strict=True)
        }
        if len(pairs.scores):
            low, high = self.texts.score_range
            more["scores"] = (pairs.scores - low) / np.float32(high - low)
        rows = {name: self.encoder.encode_batch(column) for name, column in columns.items()}
        return pair_loader(rows, more, batch_size=self.config.batch_size, shuffle=shuffle)

    def _vectors(self, texts: Sequence[str], predict: Predict) -> Array:
        """float32 [N, D], asked in batches of similar length, answered in the order of the texts."""
        rows = self.encoder.encode_batch(texts)
        order = np.argsort([len(row[IDS]) for row in rows], kind="stable")
        parts = [
            predict(pad_token_rows([rows[row] for row in order[start : start + _EVALUATION_BATCH]]))
            for start in range(0, len(rows), _EVALUATION_BATCH)
        ]
        sorted_vectors = np.concatenate([part[_EMBEDDING] for part in parts])
        vectors = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return vectors

    def _similarity(self, predict: Predict) -> Array:
        """float32 [rows, candidates]."""
        ranking = self._ranking
        vectors = self._vectors((*ranking.queries, *ranking.texts), predict)
        count = len(ranking.queries)
        return pair_judge.cosine_matrix(vectors[:count], vectors[count:])

    def _cosines(self, pairs: Pairs, predict: Predict) -> Array:
        """float32 [N]."""
        vectors = self._vectors((*pairs.first, *pairs.second), predict)
        return cosine(vectors[: len(pairs)], vectors[len(pairs) :])

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
