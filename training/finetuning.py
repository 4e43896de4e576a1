"""Fine-tuning: a head that learns first, below it weights that were trained elsewhere.

`training.train` hooks `FrozenLayers` into Lightning's loop where `pretrained.frozen_epochs` asks for it;
`training.optimizer` takes its layer-wise step sizes from `layer_groups`. A network takes part by offering
`layer_groups() -> list[list[Parameter]]`, from the input to the head, every weight in one group.
"""

from typing import Any

import lightning
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from models.errors import UsageError
from training.config import RunConfig


def is_fine_tuned(config: RunConfig) -> bool:
    """True where the network's first weights come from a checkpoint."""
    pretrained = getattr(config, "pretrained", None)
    has_source = pretrained is not None and pretrained.source is not None
    return has_source or getattr(config, "network", None) == "pretrained"


def layer_groups(network: nn.Module) -> list[list[nn.Parameter]]:
    """The network's weights from the input to the head; what it left out is counted to the head.

    Raises UsageError where it does not tell.
    """
    tell = getattr(network, "layer_groups", None)
    if tell is None:
        raise UsageError(
            f"pretrained.*: {type(network).__name__} does not tell its layers apart; "
            "leave frozen_epochs at 0 and layer_decay at 1"
        )
    groups: list[list[nn.Parameter]] = [group for group in tell() if group]
    known = {id(weight) for group in groups for weight in group}
    rest = [weight for weight in network.parameters() if id(weight) not in known]
    if not groups:
        return [rest]
    return [*groups[:-1], [*groups[-1], *rest]]


class FrozenLayers(lightning.Callback):
    """Nothing but the last group of `module.network` learns in the first `epochs`.

    Frozen weights have no gradient, so that neither momentum nor decay moves them; the running figures
    of their batch norms stand still as well. What was never to be trained stays so afterwards.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._frozen: list[nn.Parameter] | None = None

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self._settle(trainer, pl_module)  # a run resumed within an epoch has no start of it

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self._settle(trainer, pl_module)

    def on_fit_end(self, *_: Any) -> None:
        self._thaw()

    def _settle(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        network = module.get_submodule("network")
        if trainer.current_epoch >= self._epochs:
            if self._frozen is not None:
                self._thaw()
                network.train()
            return
        if self._frozen is None:
            *below, _ = layer_groups(network)
            self._frozen = [weight for group in below for weight in group if weight.requires_grad]
        frozen = {id(weight) for weight in self._frozen}
        for weight in self._frozen:
            weight.requires_grad_(False)
        for part in network.modules():
            if (
                isinstance(part, BatchNorm)
                and {id(weight) for weight in part.parameters()} <= frozen
            ):
                part.eval()

    def _thaw(self) -> None:
        for weight in self._frozen or ():
            weight.requires_grad_(True)
        self._frozen = None
