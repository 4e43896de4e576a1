"""Image embedding: vectors that lie close for pictures of one identity (a face, a product, an emblem).

A kind of work for `training.pipeline`. It is judged on identities that were not learned wherever the data
have enough of them. Letters: N pictures, C channels, S side in pixels, D dimensions.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch.utils.data import DataLoader

from models.blocks import EmbeddingPostprocessing
from models.datatypes import DataType
from models.gallery import GALLERY_FILE, NAMES_FILE, Gallery
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from models.transforms.vectors import normalised
from training import embedding_metrics, plots
from training.data.folds import grouped_fold_rows
from training.data.identities import SPLITS, IdentityData, prepare_identities
from training.data.identity_loader import identity_loader
from training.data.images import ImageSplit, Pixels, channel_statistics, normalise
from training.errors import DataError
from training.networks.image_embedder import ImageEmbedder
from training.pretrained_image import ImageCheckpoint
from training.roc import roc_auc
from training.tasks.embedding_module import ImageEmbeddingModule
from training.tasks.embedding_settings import ImageEmbeddingConfig
from training.tasks.image_network import build_network, find_checkpoint, network_summary
from training.work import Array, Arrays, CardTable, ExportPlan, Predict, Work

_EVALUATION_BATCH = 256
_SAMPLES = 15  # questions on the sample sheet, each beside its answer
_WORST_IDENTITIES = 20  # in the card's table


class ImageEmbeddingWork(Work[ImageEmbeddingConfig]):
    """One run. `prepare` must come first."""

    pictures: IdentityData
    same_threshold: float | None = None
    _gallery: Gallery | None = None
    _checkpoint: ImageCheckpoint | None = None

    def prepare(self) -> None:
        """Also reads the checkpoint of `pretrained.source`, which knows its pictures' side and colours."""
        self._checkpoint = find_checkpoint(self.config, has_data=self.data is not None)
        if self._checkpoint is not None:
            image = self._checkpoint.image_settings(self.config.image)
            self.config = self.config.model_copy(update={"image": image})
        self.pictures = prepare_identities(self.data, self.config)
        self._take_the_checkpoints_colours()
        self._require_room_in_the_gallery()

    def data_summary(self) -> dict[str, str]:
        data, block = self.pictures, self.pictures.block
        colour = "grey" if data.channels == 1 else "colour"
        rows: dict[str, str] = {
            split: f"{len(part):,} pictures of {len(np.unique(part.labels)):,} identities"
            for split, part in zip(SPLITS, (data.train, data.validation, data.test), strict=True)
        }
        rows["test"] += f", {data.unseen:,} of them unseen in training ({data.note})"
        return {
            "data set": f"{data.name}: {len(data.names):,} identities",
            "pictures": f"{data.side}×{data.side}, {colour}, {block.interpolation} resampling",
            **rows,
            "network": network_summary(self.config, self._checkpoint),
        }

    def data_sha256(self) -> str:
        return self.pictures.sha256

    def lightning_module(self) -> ImageEmbeddingModule:
        config, data = self.config, self.pictures
        body = build_network(
            config,
            self._checkpoint,
            channels=data.channels,
            side=data.side,
            outputs=config.dimensions,
        )
        identities = len(np.unique(data.train.labels)) if config.loss == "arcface" else 0
        network = ImageEmbedder(body, config.dimensions, identities)
        return ImageEmbeddingModule(network, config, data.block)

    def train_loader(self) -> DataLoader[Any]:
        train = self.pictures.train
        # Centres are counted from 0 without a gap, whatever identities are held out.
        _, labels = np.unique(train.labels, return_inverse=True)
        return self._loader(ImageSplit(train.pixels, labels.astype(np.int64)))

    def val_loader(self) -> DataLoader[Any]:
        return self._loader(self.pictures.validation, seed=self.config.seed)

    def fold(self, number: int, count: int) -> "ImageEmbeddingWork":
        """Folds of whole identities where the test has identities of its own, as the figure has."""
        config, data = self.config, self.pictures
        everything = _joined(data.train, data.validation)
        rows = grouped_fold_rows(
            everything.labels,
            number,
            count,
            validation_fraction=config.validation_fraction,
            seed=config.seed,
        )
        train, validation, test = (
            everything.take(part) for part in (rows.train, rows.validation, rows.test)
        )
        mean, std = channel_statistics(train.pixels)
        block = data.block.model_copy(update={"mean": mean, "std": std})
        fold = type(self)(config, self.data)
        fold.pictures = replace(data, block=block, train=train, validation=validation, test=test)
        # Anew: this work's was trained already.
        fold._checkpoint = find_checkpoint(config, has_data=self.data is not None)
        fold._take_the_checkpoints_colours()
        return fold

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, ImageEmbeddingModule)
        data = self.pictures
        image = TensorSpec(
            name="image",
            dtype=DataType.FLOAT,
            shape=("batch", data.channels, data.side, data.side),
        )
        embedding = TensorSpec(
            name="embedding", dtype=DataType.FLOAT, shape=("batch", self.config.dimensions)
        )
        return ExportPlan(module.network, (image,), (embedding,))

    def calibrate(self, predict: Predict) -> None:
        """The threshold, on validation pairs; and the gallery, of everything that was read."""
        data, config = self.pictures, self.config
        validation = data.validation
        cosines, is_same = embedding_metrics.pair_cosines(
            self._vectors(validation.pixels, predict), validation.labels, config.seed
        )
        quantile = np.quantile(cosines[~is_same], 1 - config.false_accept_rate)
        self.same_threshold = float(np.clip(quantile, -1, 1))
        if config.gallery != "none":
            self._gallery = self._filled_gallery(predict)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Recall@1 (main; bootstrap over identities), ROC AUC of pairs, and what the threshold does."""
        test, seed = self.pictures.test, self.config.seed
        vectors = self._vectors(test.pixels, predict)
        nearest, _ = embedding_metrics.neighbours(vectors)
        table = embedding_metrics.recall_table(test.labels, nearest)
        cosines, is_same = embedding_metrics.pair_cosines(vectors, test.labels, seed)
        plain = _plain_vectors(test.pixels)
        plain_nearest, _ = embedding_metrics.neighbours(plain)
        plain_table = embedding_metrics.recall_table(test.labels, plain_nearest)
        plain_cosines, _ = embedding_metrics.pair_cosines(plain, test.labels, seed)
        figures = [
            self._figure(
                "recall@1",
                embedding_metrics.recall(table),
                int(table[:, 1].sum()),
                interval=embedding_metrics.recall_interval(table, seed),
                baselines={"pixels": embedding_metrics.recall(plain_table)},
            ),
            self._figure(
                "roc-auc",
                roc_auc(cosines, is_same),
                len(cosines),
                baselines={"pixels": roc_auc(plain_cosines, is_same)},
            ),
        ]
        if self.same_threshold is not None:
            said = cosines >= self.same_threshold
            accepted = {
                kind: (float(said[chosen].mean()), int(chosen.sum()))
                for kind, chosen in (("true", is_same), ("false", ~is_same))
            }
            figures += [
                self._figure("true-accept-rate", *accepted["true"]),
                self._figure("false-accept-rate", *accepted["false"], higher_is_better=False),
            ]
        return tuple(figures)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:  # noqa: ARG002
        """Test pictures, float32 [batch, C, S, S]; repeated where there are too few."""
        order = np.random.default_rng(0).permutation(len(self.pictures.test))
        pixels = self.pictures.test.pixels[np.resize(order, batch)]
        return {"image": normalise(pixels, self.pictures.block)}

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan, has_gallery = self.export_plan(module), self._gallery is not None
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Vectors of pictures, learned from {self.pictures.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=self.pictures.block,
            postprocessing=EmbeddingPostprocessing(
                same_threshold=self.same_threshold,
                gallery=GALLERY_FILE if has_gallery else None,
                gallery_names=NAMES_FILE if has_gallery else None,
            ),
            batching=self.config.batching,
        )

    def write_assets(self, folder: Path) -> None:
        if self._gallery is not None:
            self._gallery.save(folder)

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: pictures and the nearest other one, mistakes first; pairs.png: cosines."""
        test = self.pictures.test
        vectors = self._vectors(test.pixels, predict)
        nearest, cosines = embedding_metrics.neighbours(vectors)
        is_right = test.labels[nearest] == test.labels
        order = np.lexsort((-cosines, is_right))
        rows = [*order[: _SAMPLES // 3], *np.random.default_rng(0).permutation(order)]
        pictures, captions = [], []
        for row in rows[:_SAMPLES]:
            pair = (int(row), int(nearest[row]))
            pictures += [test.pixels[one] / np.float32(255) for one in pair]
            verdict = "same" if is_right[row] else "other"
            captions += ["asked", f"{verdict}, {cosines[row]:.2f}"]
        plots.image_sheet(folder / "samples.png", pictures, captions)
        values, is_same = embedding_metrics.pair_cosines(vectors, test.labels, self.config.seed)
        parts = {"different": values[~is_same], "same": values[is_same]}
        plots.histograms(folder / "pairs.png", parts, self.same_threshold, "cosine of a pair")

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:
        """The identities whose pictures are found least."""
        test = self.pictures.test
        nearest, _ = embedding_metrics.neighbours(self._vectors(test.pixels, predict))
        is_right = test.labels[nearest] == test.labels
        labels, counts = np.unique(test.labels, return_counts=True)
        shares = np.array([is_right[test.labels == label].mean() for label in labels])
        asked = np.flatnonzero(counts >= 2)
        worst = asked[np.argsort(shares[asked], kind="stable")][:_WORST_IDENTITIES]
        rows = tuple(
            (self.pictures.names[labels[row]], f"{counts[row]:,}", f"{shares[row]:.3f}")
            for row in worst
        )
        note = "Identities of the test split whose pictures are found least."
        return (CardTable("Identities", ("identity", "pictures", "recall@1"), rows, note),)

    def item_scores(self, predict: Predict) -> Array:
        """Whether the picture nearest to each is one of the same identity."""
        test = self.pictures.test
        nearest, _ = embedding_metrics.neighbours(self._vectors(test.pixels, predict))
        return embedding_metrics.hits(test.labels, nearest)

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-static",)

    def calibration_inputs(self) -> Iterable[Arrays]:
        pixels = self.pictures.validation.pixels[: 2 * _EVALUATION_BATCH]
        for start in range(0, len(pixels), _EVALUATION_BATCH):
            rows = pixels[start : start + _EVALUATION_BATCH]
            yield {"image": normalise(rows, self.pictures.block)}

    def _take_the_checkpoints_colours(self) -> None:
        if self._checkpoint is not None:
            stated = {"mean": self._checkpoint.mean, "std": self._checkpoint.std}
            block = self.pictures.block.model_copy(update=stated)
            self.pictures = replace(self.pictures, block=block)

    def _require_room_in_the_gallery(self) -> None:
        config, data = self.config, self.pictures
        pictures = len(data.train) + len(data.validation) + len(data.test)
        entries = {"none": 0, "identities": len(data.names), "pictures": pictures}[config.gallery]
        if entries > config.gallery_most:
            raise DataError(
                f"{data.name}: the gallery would have {entries:,} entries, more than gallery_most="
                f"{config.gallery_most:,}; raise it, or set gallery=identities or none"
            )

    def _filled_gallery(self, predict: Predict) -> Gallery:
        """Of all pictures, held-out ones too: who searches wants to find everything that is known."""
        data = self.pictures
        everything = _joined(_joined(data.train, data.validation), data.test)
        vectors, labels = self._vectors(everything.pixels, predict), everything.labels
        if self.config.gallery == "identities":
            known = np.unique(labels)
            vectors = normalised(np.stack([vectors[labels == one].mean(axis=0) for one in known]))
            labels = known
        return Gallery(vectors, tuple(data.names[label] for label in labels))

    def _loader(self, split: ImageSplit, seed: int | None = None) -> DataLoader[Any]:
        pictures = self.config.pictures_per_identity
        identities = self.config.batch_size // pictures
        return identity_loader(split, identities=identities, pictures=pictures, seed=seed)

    def _vectors(self, pixels: Pixels, predict: Predict) -> Array:
        """Float32 [N, D] of uint8 pixels [N, C, S, S], in batches that fit anywhere."""
        parts = []
        for start in range(0, len(pixels), _EVALUATION_BATCH):
            rows = normalise(pixels[start : start + _EVALUATION_BATCH], self.pictures.block)
            parts.append(predict({"image": rows})["embedding"])
        return np.concatenate(parts)

    def _figure(self, metric: str, value: float, samples: int, **more: Any) -> Evaluation:
        return Evaluation(
            dataset=self.pictures.name,
            split="test",
            metric=metric,
            value=value,
            samples=samples,
            **more,
        )


def _joined(first: ImageSplit, second: ImageSplit) -> ImageSplit:
    return ImageSplit(
        np.concatenate([first.pixels, second.pixels]), np.concatenate([first.labels, second.labels])
    )


def _plain_vectors(pixels: Pixels) -> Array:
    """The baseline: the pixels themselves, without their mean, so that light alone makes nothing alike."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    return normalised(flat - flat.mean(axis=1, keepdims=True))
