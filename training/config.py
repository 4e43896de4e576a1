"""What a training run may be told: one complete, frozen, typed record per recipe.

A recipe function returns a `RunConfig` (or its own subclass with more fields); the command line
changes it through `training.settings.with_settings`, which is the only door. Precedence: the
recipe's value, then what `--data` implies (`Recipe.own_data`), then `--set` and the flags. Nothing is
read from the environment. Every field carries a sentence; error messages quote it.
"""

from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.manifest import Batching
from models.naming import NAME_PATTERN


class ConfigRecord(BaseModel):
    """Frozen; unknown keys, infinities and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OptimConfig(ConfigRecord):
    """The optimiser, its step size and how that changes over the run."""

    optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = Field(
        default="adamw",
        description="how gradients become steps; sgd wants a learning rate 10 to 100 times as large",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="step size at the schedule's peak")
    weight_decay: float = Field(
        default=0.01,
        ge=0,
        description="pull towards zero, on matrices and kernels only; adamw applies it to the weights "
        "beside the gradient's step, the others add it to the gradient",
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        lt=1,
        description="memory of past gradients: the momentum of sgd and rmsprop, beta1 of adam, adamw",
    )
    nesterov: bool = Field(
        default=False, description="sgd alone: the gradient is taken where momentum leads to"
    )
    beta2: float = Field(
        default=0.999,
        gt=0,
        lt=1,
        description="memory of squared gradients: beta2 of adam and adamw, alpha of rmsprop",
    )
    schedule: Literal["constant", "cosine", "one_cycle", "step", "inverse_sqrt"] = Field(
        default="one_cycle",
        description="step size after the warm-up: as it is, down to a tenth, down to nothing, by "
        "steps, or with the root of the steps so far",
    )
    warmup_fraction: float = Field(
        default=0.1, ge=0, lt=1, description="part of all steps spent rising to the peak"
    )
    step_fraction: float = Field(
        default=1 / 3,
        gt=0,
        le=1,
        description="schedule step: part of the steps after the warm-up between two falls",
    )
    step_gamma: float = Field(
        default=0.1, gt=0, le=1, description="schedule step: what every fall multiplies by"
    )
    gradient_clip: float = Field(
        default=1.0, ge=0, description="largest gradient norm; 0 leaves gradients alone"
    )

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError(
                f"optim.nesterov is for sgd with momentum; here: {self.optimizer}, "
                f"momentum {self.momentum:g}"
            )
        return self


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
        default=0.005,
        ge=0,
        description="how much of a main metric that is a share, e.g. an accuracy, a variant may lose",
    )
    accuracy_budget_relative: float = Field(
        default=0.01,
        ge=0,
        description="part of itself that any other main metric, e.g. bits or decibels, may lose",
    )
    cosine_budget: float = Field(
        default=0.999,
        ge=-1,
        le=1,
        description="least mean cosine of a variant's vectors with the reference's",
    )


class PretrainedConfig(ConfigRecord):
    """Transfer learning: weights that were trained elsewhere."""

    source: str | None = Field(
        default=None, description="folder of a checkpoint, or an id in its library's cache"
    )
    frozen_epochs: int = Field(
        default=0,
        ge=0,
        description="first epochs that train the last group of weights, the new head, alone",
    )
    layer_decay: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="step size of each layer, as part of the one above it; 1: all alike",
    )


class LabelLossConfig(ConfigRecord):
    """Cross-entropy on labels, for the configurations of every classification to inherit."""

    label_smoothing: float = Field(
        default=0.05, ge=0, lt=1, description="part of every target shared among all classes"
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        description="balanced: a class counts in the loss as much as any other, however rare it is",
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
    batch_size: int = Field(ge=1, description="training items whose gradient is taken at once")
    accumulate_batches: int = Field(
        default=1,
        ge=1,
        description="batches whose gradients are averaged into one optimiser step, where a larger "
        "batch does not fit the memory",
    )
    patience_epochs: int = Field(
        default=0,
        ge=0,
        description="stop early after so many epochs without a lower validation loss; 0: never. The "
        "schedule is planned for all epochs, so keep=best suits it",
    )
    folds: int = Field(
        default=0,
        ge=0,
        le=50,
        description="cross-validation: after the model itself, train and judge so many more on parts "
        "of its training and validation items, for a mean and a deviation; the published model still "
        "learns from all its training items, and its own figures come from the test items. 0: none",
    )
    initialisation: Literal["default", "xavier", "he"] = Field(
        default="default",
        description="first weights of linear and convolution layers: as the network draws them, "
        "Xavier's (for tanh and attention) or He's (for ReLU); pretrained weights are left alone",
    )
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
        default="fp32",
        description="arithmetic of the training loop; weights stay fp32. fp16 needs CUDA",
    )
    optim: OptimConfig = OptimConfig()
    gates: GateConfig = GateConfig()
    batching: Batching = Field(default=Batching(), description="hints to the server's batcher")

    @model_validator(mode="after")
    def _one_fold_is_no_fold(self) -> Self:
        if self.folds == 1:
            raise ValueError("folds must be 0 or at least 2: a single fold leaves nothing to learn")
        return self


ConfigT = TypeVar("ConfigT", bound=RunConfig)
