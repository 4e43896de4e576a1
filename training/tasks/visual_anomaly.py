"""Visual anomaly detection: learns from good pictures alone what is usual, and where a picture is not.

A kind of work for `training.pipeline`. The loop trains a network; what good pictures look like to it is
remembered afterwards, when the graph is planned, and becomes constants of the graph. No int8 variants are
tried: rounded features lie elsewhere, and the threshold in the manifest holds for the distances it was chosen
on. Letters: N pictures, S side of the canvas in pixels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.blocks import AnomalyPostprocessing
from models.datatypes import DataType
from models.errors import UsageError
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from models.transforms.anomaly import grey_levels
from training import plots
from training.data.images import Pixels, normalise
from training.data.inspected_pictures import GOOD, InspectedSplit, count_kinds
from training.data.inspection import Inspection, prepare_inspection
from training.data.loaders import array_loader
from training.metrics import precision_recall_f1
from training.networks.anomaly_map import AnomalyMap
from training.networks.autoencoder import Autoencoder, ReconstructionMap
from training.networks.cell_encoder import CellEncoder
from training.networks.patch_memory import PatchMemory
from training.roc import roc_auc, roc_auc_interval
from training.tasks.anomaly_module import AnomalyModule
from training.tasks.anomaly_settings import AnomalyConfig
from training.work import Array, Arrays, CardTable, ExportPlan, Predict, Work

_EVALUATION_BATCH = 64
_SAMPLES = 10  # pictures on the sample sheet, each beside its map
_PIXELS_COMPARED = 2_000_000  # of the test maps, for the figure by pixel
_AUTOENCODER_MULTIPLE = 16
_WHITE_AT = 2.0  # thresholds above the usual, where a heat map is white
"""The line between usual and not is then half grey."""


class VisualAnomalyWork(Work[AnomalyConfig]):
    """One run. `prepare` must come first."""

    pictures: Inspection
    threshold: float = float("nan")
    map_low: float = 0.0
    _detector: tuple[lightning.LightningModule, nn.Module] | None = None

    def prepare(self) -> None:
        side = self.config.canvas.side
        if side % _AUTOENCODER_MULTIPLE:
            raise UsageError(
                f"canvas.side={side} is no multiple of {_AUTOENCODER_MULTIPLE} pixels; set "
                f"{round(side / _AUTOENCODER_MULTIPLE) * _AUTOENCODER_MULTIPLE or 32}"
            )
        self.pictures = prepare_inspection(self.data, self.config, side)

    def data_summary(self) -> dict[str, str]:
        data, block = self.pictures, self.pictures.block
        kinds = count_kinds(data.test.kinds)
        listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        return {
            "data set": data.name,
            "canvas": f"{data.side}×{data.side}, {block.fit}, {block.interpolation} resampling",
            "train": f"{len(data.train):,} good pictures",
            "validation": f"{len(data.validation):,} good pictures",
            "test": f"{listed} ({data.note})",
        }

    def data_sha256(self) -> str:
        return self.pictures.sha256

    def lightning_module(self) -> AnomalyModule:
        config = self.config
        network: CellEncoder | Autoencoder
        if config.method == "autoencoder":
            network = Autoencoder(config.width, config.latent)
        else:
            network = CellEncoder(config.width)
        return AnomalyModule(network, config, self.pictures.block)

    def train_loader(self) -> DataLoader[Any]:
        pixels = self.pictures.train.pixels
        return array_loader(pixels, batch_size=self.config.batch_size, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        pixels = self.pictures.validation.pixels
        return array_loader(pixels, batch_size=self.config.batch_size, shuffle=False)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        """Looks once through the training pictures to remember what is usual."""
        assert isinstance(module, AnomalyModule)
        if self._detector is None or self._detector[0] is not module:
            self._detector = (module, self._settled(module))
        side = self.pictures.side
        image, score, unusual = (
            TensorSpec(name=name, dtype=DataType.FLOAT, shape=("batch", *shape))
            for name, shape in (("image", (3, side, side)), ("score", ()), ("map", (side, side)))
        )
        return ExportPlan(self._detector[1], (image,), (score, unusual))

    def calibrate(self, predict: Predict) -> None:
        """The threshold, from the scores of good validation pictures; and what is drawn black."""
        scores, maps = self._ask(self.pictures.validation.pixels, predict)
        self.threshold = float(np.quantile(scores, self.config.threshold_quantile, method="higher"))
        self.map_low = float(np.median(maps))

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """ROC AUC of pictures (main), what the threshold does, and the AUC of pixels with known masks."""
        test = self.pictures.test
        scores, maps = self._ask(test.pixels, predict)
        is_bad, seed = test.is_bad, self.config.seed
        plain = self._plain_scores(test.pixels)
        figures = [
            self._figure(
                "roc-auc",
                roc_auc(scores, is_bad),
                len(test),
                interval=roc_auc_interval(scores, is_bad, seed),
                baselines={"mean-picture": roc_auc(plain, is_bad)},
            )
        ]
        if np.isfinite(self.threshold):
            precision, recall, _ = precision_recall_f1(_counts(scores > self.threshold, is_bad))[0]
            figures += [
                self._figure("precision", float(precision), len(test)),
                self._figure("recall", float(recall), len(test)),
            ]
        if test.masks is not None and test.masks.any():
            values, wrong = _sampled(maps, test.masks, seed)
            figures.append(self._figure("pixel-roc-auc", roc_auc(values, wrong), len(values)))
        return tuple(figures)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:  # noqa: ARG002
        """Test pictures, float32 [batch, 3, S, S]; repeated where there are too few."""
        order = np.random.default_rng(0).permutation(len(self.pictures.test))
        pixels = self.pictures.test.pixels[np.resize(order, batch)]
        return {"image": normalise(pixels, self.pictures.block)}

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan, data = self.export_plan(module), self.pictures
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Finds what good pictures of {data.name} never show.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=data.block,
            postprocessing=AnomalyPostprocessing(
                threshold=self.threshold, map_low=self.map_low, map_high=self._map_high
            ),
            batching=self.config.batching,
        )

    def write_assets(self, folder: Path) -> None:
        """Nothing: all that is known is in the graph and the manifest."""

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: pictures beside their maps; scores.png: good and bad about the threshold."""
        test = self.pictures.test
        scores, maps = self._ask(test.pixels, predict)
        rows = _shown(test)
        pictures, captions = [], []
        for row in rows:
            shades = grey_levels(maps[row], self.map_low, self._map_high) / np.float32(255)
            pictures += [test.pixels[row] / np.float32(255), shades[None]]
            captions += [test.kinds[row], f"{scores[row]:.2f}"]
        plots.image_sheet(folder / "samples.png", pictures, captions)
        parts = {"good": scores[~test.is_bad], "bad": scores[test.is_bad]}
        plots.histograms(folder / "scores.png", parts, self.threshold, "score")

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:
        """What is found of each kind of defect."""
        test = self.pictures.test
        scores, _ = self._ask(test.pixels, predict)
        kinds = np.array(test.kinds)
        rows = []
        for kind, count in count_kinds(test.kinds).items():
            is_kind = kinds == kind
            chosen = is_kind | (kinds == GOOD)
            auc = "–" if kind == GOOD else f"{roc_auc(scores[chosen], is_kind[chosen]):.4f}"
            share = f"{(scores[is_kind] > self.threshold).mean():.1%}"
            rows.append((kind, f"{count:,}", share, auc))
        head = ("kind", "pictures", "called anomalies", "ROC AUC against good")
        note = f"Bad pictures: {self.pictures.note}."
        return (CardTable("Kinds", head, tuple(rows), note),)

    @property
    def _map_high(self) -> float:
        return self.map_low + _WHITE_AT * max(self.threshold - self.map_low, 1e-6)

    def _settled(self, module: AnomalyModule) -> nn.Module:
        """The detector, on the module's device, with what it remembers of the training pictures."""
        config, device = self.config, module.device
        last = AnomalyMap(self.pictures.side, self.pictures.side, config.smoothing)
        network = module.network.eval()
        if isinstance(network, Autoencoder):
            reconstruction = ReconstructionMap(network, last).to(device)
            reconstruction.measure(self._training_images(device))
            return reconstruction
        assert isinstance(network, CellEncoder)
        memory = PatchMemory(network, last, config.neighbours).to(device)
        memory.remember(self._training_images(device), config.memory, config.seed)
        return memory

    def _training_images(self, device: torch.device) -> Iterator[Tensor]:
        pixels = self.pictures.train.pixels
        for start in range(0, len(pixels), _EVALUATION_BATCH):
            rows = normalise(pixels[start : start + _EVALUATION_BATCH], self.pictures.block)
            yield torch.from_numpy(rows).to(device)

    def _ask(self, pixels: Pixels, predict: Predict) -> tuple[Array, Array]:
        """(scores float32 [N], maps float32 [N, S, S]) of uint8 [N, 3, S, S]."""
        scores, maps = [], []
        for start in range(0, len(pixels), _EVALUATION_BATCH):
            rows = normalise(pixels[start : start + _EVALUATION_BATCH], self.pictures.block)
            answer = predict({"image": rows})
            scores.append(answer["score"])
            maps.append(answer["map"])
        return np.concatenate(scores), np.concatenate(maps)

    def _plain_scores(self, pixels: Pixels) -> Array:
        """The baseline: the largest deviation from the mean of the good pictures, place by place."""
        train = self.pictures.train.pixels
        mean = train.mean(axis=0)
        # Picture by picture: all of them as floats would take eight times their memory.
        variance = sum(np.square(picture - mean) for picture in train) / len(train)
        deviation = np.sqrt(variance) + 1
        return np.array(
            [(np.abs(picture - mean) / deviation).mean(axis=0).max() for picture in pixels]
        )

    def _figure(self, metric: str, value: float, samples: int, **more: Any) -> Evaluation:
        return Evaluation(
            dataset=self.pictures.name,
            split="test",
            metric=metric,
            value=value,
            samples=samples,
            **more,
        )


def _counts(said: Array, is_bad: Array) -> Array:
    """int64 [1, 2, 2], as `training.metrics.precision_recall_f1` wants it."""
    neither, wrongly = (~said & ~is_bad).sum(), (said & ~is_bad).sum()
    missed, both = (~said & is_bad).sum(), (said & is_bad).sum()
    return np.array([[[neither, wrongly], [missed, both]]], dtype=np.int64)


def _sampled(maps: Array, masks: Array, seed: int) -> tuple[Array, Array]:
    """Values and truths of pixels, all of them or a random part of many."""
    values, wrong = maps.ravel(), masks.ravel()
    if len(values) <= _PIXELS_COMPARED:
        return values, wrong
    rows = np.random.default_rng(seed).integers(0, len(values), _PIXELS_COMPARED)
    return values[rows], wrong[rows]


def _shown(test: InspectedSplit) -> list[int]:
    """A few good pictures, and bad ones of all kinds."""
    kinds = np.array(test.kinds)
    by_kind = [np.flatnonzero(kinds == kind).tolist() for kind in count_kinds(test.kinds)]
    rows: list[int] = []
    while len(rows) < _SAMPLES and any(by_kind):
        rows += [part.pop(0) for part in by_kind if part]
    return rows[:_SAMPLES]
