"""What a training run may be told: one complete, frozen, typed record per recipe.

A recipe function returns a `RunConfig` (or its own subclass with more fields); the command line
changes it through `training.settings.with_settings`, which is the only door. Precedence: the
recipe's value, then what `--data` implies (`Recipe.own_data`), then `--set` and the flags. Nothing is
read from the environment. Every field carries a sentence; error messages quote it.
"""

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from models.manifest import Batching
from models.naming import NAME_PATTERN


class ConfigRecord(BaseModel):
    """Frozen; unknown keys, infinities and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OptimConfig(ConfigRecord):
    """AdamW and its schedule."""

    learning_rate: float = Field(default=1e-3, gt=0, description="step size at the schedule's peak")
    weight_decay: float = Field(
        default=0.01, ge=0, description="AdamW's decay, on matrices and kernels only"
    )
    beta2: float = Field(default=0.999, gt=0, lt=1, description="memory of AdamW's second moment")
    schedule: Literal["constant", "cosine", "one_cycle"] = Field(
        default="one_cycle", description="how the step size changes over the run"
    )
    warmup_fraction: float = Field(
        default=0.1, ge=0, lt=1, description="part of all steps spent rising to the peak"
    )
    gradient_clip: float = Field(
        default=1.0, ge=0, description="largest gradient norm; 0 leaves gradients alone"
    )


class GateConfig(ConfigRecord):
    """Conditions for publication."""

    accuracy_floor: float | None = Field(
        default=None,
        description="worst main metric that may be published; none: only `beats` counts",
    )
    beats: tuple[str, ...] = Field(
        default=(), description="baselines of the main metric that the model must do better than"
    )
    parity_atol: float = Field(
        default=1e-4, gt=0, description="largest absolute difference between torch and ONNX Runtime"
    )
    accuracy_budget: float = Field(
        default=0.005, ge=0, description="how much of the main metric a quantised variant may lose"
    )


class PretrainedConfig(ConfigRecord):
    """Transfer learning: weights that were trained elsewhere."""

    source: str | None = Field(
        default=None, description="folder of a checkpoint, or an id in its library's cache"
    )
    frozen_epochs: int = Field(
        default=0, ge=0, description="first epochs that train the new head alone"
    )
    layer_decay: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="step size of each layer, as part of the one above it; 1: all alike",
    )


class RunConfig(ConfigRecord):
    """Base of every recipe's configuration."""

    recipe: str = Field(description="the recipe this run follows")
    task: str = Field(description="the kind of work, as the manifest names it")
    name: str = Field(pattern=NAME_PATTERN, description="the model's name in the repository")
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="seeds weights, shuffling and splits"
    )
    epochs: int = Field(ge=1, description="passes over the training data")
    max_steps: int = Field(
        default=-1, ge=-1, description="stop after this many optimiser steps; -1: no limit"
    )
    batch_size: int = Field(ge=1, description="training items in one optimiser step")
    keep: Literal["best", "last"] = Field(
        default="best",
        description="weights to publish: of the least validation loss, or the last, which are better "
        "where the schedule ends near zero and validation is small",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where to train; auto takes CUDA where it answers"
    )
    cpu_threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="torch's threads; 0: its choice, 1 suits tiny networks",
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="arithmetic of the training loop; weights stay fp32"
    )
    optim: OptimConfig = OptimConfig()
    gates: GateConfig = GateConfig()
    batching: Batching = Field(default=Batching(), description="hints to the server's batcher")


ConfigT = TypeVar("ConfigT", bound=RunConfig)
