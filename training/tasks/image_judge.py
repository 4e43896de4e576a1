"""The classifier that judges generated pictures: does a picture of a "7" look like a 7?

It is trained anew, by the `digits` recipe's own code, on the generator's training data with another
seed. The published `digits` model would have been cheaper, but then a figure would depend on what
happens to lie in a repository, and a run could not be repeated elsewhere. The judge learns from the
same training pictures; its accuracy on test pictures, which neither has seen, is reported beside the
generator's, because a generator cannot be judged better than its judge sees. What its last layer decides
by are also the features in which drawn and real pictures are compared as a whole.

Letters: N pictures, C channels, S side in pixels, K classes, F features.
"""

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from models.datatypes import DataType
from models.manifest import Evaluation, TensorSpec
from training import train
from training.data.image_source import PreparedImages
from training.networks.residual import ResidualClassifier
from training.predict import torch_predict
from training.recipes.digits import digits
from training.report import Reporter
from training.runs import RunFolder
from training.tasks.image_classification import ImageClassificationWork
from training.work import Array, ExportPlan, Predict

_SEED_APART = 1_000_003  # far from the seeds people choose
_BATCH = 512


@dataclass(frozen=True)
class Judge:
    """`accuracy`: its own, on the real test pictures."""

    work: ImageClassificationWork
    ask: Predict
    accuracy: Evaluation

    def look(self, pictures: Array) -> tuple[Array, Array]:
        """Pictures float [N, C, S, S] in 0–1 → (the class that each looks like, int64 [N]; features
        float32 [N, F])."""
        block = self.work.images.block
        mean, std = (
            np.asarray(part, np.float32).reshape(-1, 1, 1) for part in (block.mean, block.std)
        )
        answers = [
            self.ask(
                {"image": ((pictures[start : start + _BATCH] - mean) / std).astype(np.float32)}
            )
            for start in range(0, len(pictures), _BATCH)
        ]
        logits, features = (
            np.concatenate([answer[name] for answer in answers]) for name in ("logits", "features")
        )
        return logits.argmax(axis=1), features


class _Sight(nn.Module):
    """Pictures → (logits [N, K], features [N, F])."""

    def __init__(self, network: ResidualClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.features(image)
        return self.network.head(features), features


def train_judge(images: PreparedImages, epochs: int, seed: int, device: str) -> Judge:
    """Train on `images`, quietly. Torch's random state is left as it was."""
    base = digits()
    config = base.model_copy(
        update={
            "seed": (seed + _SEED_APART) % 2**32,
            "epochs": epochs,
            "device": device,
            # Generated pictures have the data's own polarity, size and place.
            "augment": base.augment.model_copy(
                update={"invert_probability": 0.0, "smallest": 0.9, "shift": 0.05}
            ),
        }
    )
    work = ImageClassificationWork(config, None)
    work.images = images
    quiet = Reporter(Console(file=io.StringIO()))
    with torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
        train.seed_everything(config.seed)
        run = RunFolder(Path(folder), "judge")
        run.path.mkdir()
        trained = train.train(work, run, quiet, resume=False)
    plan = work.export_plan(trained.module)
    assert isinstance(plan.module, ResidualClassifier)
    features = TensorSpec(name="features", dtype=DataType.FLOAT, shape=("batch", "features"))
    sight = ExportPlan(_Sight(plan.module), plan.inputs, (*plan.outputs, features))
    ask = torch_predict(sight, trained.device)
    accuracy = work.evaluate(ask)[0].model_copy(update={"metric": "judge-accuracy"})
    return Judge(work, ask, accuracy)
