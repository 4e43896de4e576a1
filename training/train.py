"""Stage 1, train: Lightning's loop around one kind of work, resumable and reproducible.

The same seed on the same machine and device gives the same weights on a CPU; a GPU's atomics, another
thread count, and a run resumed in the middle of an epoch (its shuffle begins anew, except where the
loader keeps its place, as language models' do) give close ones.
"""

import logging
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy

from models.errors import UsageError
from training.config import RunConfig
from training.distributed import leave, require_equal_weights, world
from training.early_stopping import PatientStop
from training.errors import TrainingFailed
from training.finetuning import FrozenLayers, is_fine_tuned, layer_groups
from training.initialisation import initialise
from training.keeper import History, Keeper
from training.progress import ProgressLine
from training.pruning.callback import Pruning
from training.report import Reporter
from training.runs import RunFolder
from training.work import Work

CPU = torch.device("cpu")
_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True)
class Trained:
    """`module` holds the weights that `keep` asks for, in eval mode, on the device it was trained on."""

    module: lightning.LightningModule
    history: History
    device: torch.device
    duration_s: float


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch, before data are split and weights are drawn."""
    with quiet_lightning():
        lightning.seed_everything(seed, workers=True, verbose=False)


def resolve_device(wanted: str, precision: str = "fp32") -> torch.device:
    """`auto` takes CUDA where it answers. Raises UsageError when CUDA is asked for and absent, or
    needed by `precision`: Lightning would quietly take bf16 instead of fp16."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UsageError(
            "device cuda: torch finds no CUDA device here; use --device auto or cpu, "
            "or install a CUDA build of torch"
        )
    device = torch.device("cuda" if available and wanted != "cpu" else "cpu")
    if precision == "fp16" and device.type != "cuda":
        raise UsageError("precision fp16 needs a CUDA device: set precision=bf16 or fp32 on a CPU")
    return device


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Use `count` threads (0: as they are). On a busy machine two threads of a tiny network wait for
    each other at every layer: 64 pictures of 8×8 took 100 ms with two threads, 20 ms with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    work: Work[Any],
    folder: RunFolder,
    report: Reporter,
    *,
    resume: bool,
    resume_command: str = "--resume",
) -> Trained:
    """Run the loop to its end. Raises Interrupted (Ctrl-C, naming `resume_command`), TrainingFailed."""
    device = resolve_device(work.config.device, work.config.precision)
    began_s = time.monotonic()
    module = work.lightning_module()
    _draw_first_weights(module, work.config)
    weights = sum(weight.numel() for weight in module.parameters())
    report.line(f"{weights:,} weights on {device}, seed {work.config.seed}")
    keeper = Keeper(folder, resume_command)
    with quiet_lightning():
        callbacks = [*_mechanics(work.config, report), keeper, ProgressLine(report)]
        trainer = _trainer(work, folder, device, callbacks)
        with keeper.stopping_on_ctrl_c(), cpu_threads(work.config.cpu_threads):
            trainer.fit(
                module,
                work.train_loader(),
                work.val_loader(),
                ckpt_path=folder.last if resume else None,
                weights_only=True,
            )
        if math.isinf(keeper.best_loss):  # it ended within its first epoch
            trainer.validate(module, work.val_loader(), verbose=False)
    require_equal_weights(module)
    leave()
    if math.isinf(keeper.best_loss):
        raise TrainingFailed(
            "the validation loss is not a number: lower optim.learning_rate (--set)"
        )
    if work.config.keep == "best":
        module.load_state_dict(torch.load(folder.best, weights_only=True, map_location="cpu"))
    return Trained(module.to(device).eval(), keeper.history, device, time.monotonic() - began_s)


def _draw_first_weights(module: lightning.LightningModule, config: RunConfig) -> None:
    """As `initialisation` says; of weights that came from a checkpoint the new head's alone."""
    if config.initialisation == "default":
        return
    network = module.get_submodule("network")
    only = layer_groups(network)[-1] if is_fine_tuned(config) else None
    initialise(network, config.initialisation, only)


def _mechanics(config: RunConfig, report: Reporter) -> list[lightning.Callback]:
    """What the configuration hooks into the loop. Before the keeper, who saves their state."""
    chosen: list[lightning.Callback] = []
    if config.patience_epochs:
        chosen.append(PatientStop(config.patience_epochs, report))
    pretrained = getattr(config, "pretrained", None)
    if pretrained is not None and pretrained.frozen_epochs:
        chosen.append(FrozenLayers(pretrained.frozen_epochs))
    pruning = getattr(config, "pruning", None)
    if pruning is not None and pruning.amount:
        chosen.append(Pruning(pruning, report))
    return chosen


def _trainer(
    work: Work[Any],
    folder: RunFolder,
    device: torch.device,
    callbacks: list[lightning.Callback],
) -> lightning.Trainer:
    config: RunConfig = work.config
    options: dict[str, Any] = {
        "max_epochs": config.epochs,
        "max_steps": config.max_steps,
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "devices": 1,
        "precision": _PRECISIONS[config.precision],
        "accumulate_grad_batches": config.accumulate_batches,
        "gradient_clip_val": config.optim.gradient_clip or None,
        "callbacks": callbacks,
        "default_root_dir": folder.path,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    here = world()
    if here.size > 1:
        options |= {
            "devices": here.local_size,
            "num_nodes": here.size // here.local_size,
            "strategy": DDPStrategy(
                process_group_backend="nccl" if device.type == "cuda" else "gloo"
            ),
            "use_distributed_sampler": False,  # the work's loader knows its part
        }
    return lightning.Trainer(**options | work.trainer_options())


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's hints (worker counts, log intervals, tips) are not for the person who waits."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
