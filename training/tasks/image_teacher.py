"""Who teaches an image classifier: a published model, or a network that learns from the same pictures first.

Used by `training.tasks.image_classification` where `teacher.weight` is set. A teacher is asked about the very
pictures that the student is shown, changed at random as they are. A published one sees them as its manifest
says: at its size, in its channels, normalised with its mean and deviation; its classes may be more than the
student's, and in another order.

Letters: N pictures, C channels, S side in pixels, K classes.
"""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from models.blocks import ImagePreprocessing
from models.bundle import Bundle, open_bundle
from models.catalog import default_repository, find_bundle
from models.errors import UsageError
from models.naming import is_name, is_version
from models.runtimes import open_session
from models.runtimes.base import Session, SessionOptions
from models.runtimes.graph import Graph
from training import train
from training.data.image_source import PreparedImages
from training.report import Reporter
from training.runs import RunFolder

if TYPE_CHECKING:
    from training.tasks.image_classification import ImageClassificationWork
    from training.tasks.image_settings import ImageClassificationConfig

Teacher = Callable[[Tensor], Tensor]
"""Pictures float [N, C, S, S] in 0–1 → logits float [N, K] of the student's classes, without gradients."""

_SEED_APART = 2_000_003  # far from the seeds people choose


def published_teacher(source: str, class_names: tuple[str, ...]) -> Teacher:
    """`source`: NAME, NAME@VERSION or a version's folder. Raises UsageError for a model of another kind or
    without one of the classes, BundleError for one that cannot be read."""
    bundle = _find(source)
    if bundle.manifest.task != "image-classification":
        raise UsageError(
            f"teacher.source={source}: {bundle.name} is a model of {bundle.manifest.task}; a classifier of "
            "pictures is needed"
        )
    known = {name: row for row, name in enumerate(bundle.labels("labels.txt"))}
    strange = [name for name in class_names if name not in known]
    if strange:
        raise UsageError(
            f"teacher.source={source}: {bundle.name} knows no class {strange[0]!r}; its labels are "
            f"{', '.join(list(known)[:10])}"
        )
    block = bundle.manifest.preprocessing
    assert isinstance(block, ImagePreprocessing)
    threads = SessionOptions(threads=torch.get_num_threads())
    session = open_session("onnxruntime", Graph.of(bundle), threads)
    rows = torch.tensor([known[name] for name in class_names])
    output = bundle.manifest.outputs[0].name
    return _Published(session, block, output, rows)


class _Published:
    def __init__(
        self, session: Session, block: ImagePreprocessing, output: str, rows: Tensor
    ) -> None:
        self._session, self._block = session, block
        self._output, self._rows = output, rows

    def __call__(self, pixels: Tensor) -> Tensor:
        image = as_seen(pixels.detach().float().cpu(), self._block)
        answers = self._session.run({self._block.input: np.ascontiguousarray(image.numpy())})
        logits = torch.from_numpy(np.array(answers[self._output]))
        return logits[:, self._rows].to(pixels.device)


def as_seen(pixels: Tensor, block: ImagePreprocessing) -> Tensor:
    """Pictures float [N, C, S, S] in 0–1 as the block would give them: channels, size, mean, deviation."""
    if block.channel_order == "L" and pixels.shape[1] == 3:
        luma = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)  # ITU-R 601-2, as Pillow
        pixels = (pixels * luma).sum(dim=1, keepdim=True)
    elif block.channel_order != "L" and pixels.shape[1] == 1:
        pixels = pixels.expand(-1, 3, -1, -1)
    if block.channel_order == "BGR":
        pixels = pixels.flip(1)
    if pixels.shape[2:] != (block.height, block.width):
        pixels = functional.interpolate(
            pixels, (block.height, block.width), mode="bilinear", antialias=True
        )
    mean, std = (torch.tensor(part).reshape(1, -1, 1, 1) for part in (block.mean, block.std))
    return (pixels * (255 * block.scale) - mean) / std


def _find(source: str) -> Bundle:
    if Path(source).is_dir():
        return open_bundle(Path(source))
    name, at, version = source.partition("@")
    if not is_name(name) or (at and not is_version(version)):
        raise UsageError(
            f"teacher.source={source}: neither a version's folder nor the name of a model, e.g. digits@2"
        )
    return find_bundle(default_repository(), name, int(version) if at else None)


def trained_teacher(
    work_class: "type[ImageClassificationWork]",
    config: "ImageClassificationConfig",
    images: PreparedImages,
) -> Teacher:
    """A network of `config.teacher.network` that learns from `images`, quietly, with another seed. Torch's
    random state is left as it was."""
    work = work_class(teacher_config(config), None)
    work.images = images
    quiet = Reporter(Console(file=io.StringIO()))
    with torch.random.fork_rng(), tempfile.TemporaryDirectory() as folder:
        train.seed_everything(work.config.seed)
        run = RunFolder(Path(folder), "teacher")
        run.path.mkdir()
        trained = train.train(work, run, quiet, resume=False)
    module = trained.module

    def ask(pixels: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = module.to(pixels.device)(pixels)
        return logits

    return ask


def teacher_config(config: "ImageClassificationConfig") -> "ImageClassificationConfig":
    """The student's configuration with the teacher's family, at that family's defaults, and no teacher."""
    plain = type(config)(
        recipe=config.recipe, task=config.task, name=config.name, epochs=1, batch_size=1
    )
    group = {config.network: getattr(plain, config.network, None)}
    return config.model_copy(
        update={
            **{name: value for name, value in group.items() if value is not None},
            "network": config.teacher.network,
            "epochs": config.teacher.epochs,
            "seed": (config.seed + _SEED_APART) % 2**32,
            "teacher": plain.teacher,
            "pruning": plain.pruning,
            "folds": 0,
        }
    )
