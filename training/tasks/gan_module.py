"""A generative adversarial network as Lightning trains it: two networks, taking turns at every batch.

Batches are (uint8 [N, C, S, S], int64 [N]). Letters: N items, C channels, S side in pixels, L latent numbers.
The turns are taken by hand, since Lightning's own loop has one optimiser: the critic learns to tell real from
drawn, then the generator to be taken for real. A step, for the run's counters, is the generator's.

Losses: hinge (J. Lim, J. Ye 2017, arXiv:1705.02894); logistic in the form that does not saturate (I.
Goodfellow et al. 2014, arXiv:1406.2661), real labels smoothed on one side (T. Salimans et al. 2016,
arXiv:1606.03498). R1 holds the critic's slope at real pictures (L. Mescheder et al. 2018, arXiv:1801.04406).
Two step sizes: M. Heusel et al. 2017, arXiv:1706.08500.
"""

from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn import functional

from training import optimizer
from training.averaging import AveragedModule
from training.networks.adversarial import Critic, GanShape, Generator
from training.tasks.drawing_settings import ImageGanConfig


class GanModule(AveragedModule):
    """`network` is the generator; its average is judged and published."""

    network: Generator

    def __init__(self, shape: GanShape, config: ImageGanConfig) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.begin_average(Generator(shape), config.average_decay)
        self.critic = Critic(shape, has_spectral_norm=config.critic.spectral_norm)
        self._shape, self._config = shape, config

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        pixels, labels = batch
        real = pixels.float() / 255
        generator, critic = self.optimizers()  # type: ignore[attr-defined]
        critic_loss = self._critic_turn(critic, real, labels)
        self.critic.requires_grad_(False)
        loss = self._generator_loss(self.drawn(labels), labels)
        self._take_step(generator, loss, self.network)
        self.critic.requires_grad_(True)
        for scheduler in self.lr_schedulers():  # type: ignore[union-attr]
            scheduler.step()
        self.log("train_loss", critic_loss)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """The critic's loss: it says how well it tells pictures apart, not how good they are."""
        pixels, labels = batch
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self._config.seed + index)  # the same noise every time
            drawn = self.drawn(labels)
        loss = self._critic_loss(pixels.float() / 255, drawn, labels)
        self.log("val_loss", loss, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        rate = config.optim.learning_rate * config.critic.learning_rate_factor
        its_own = config.optim.model_copy(update={"learning_rate": rate})
        return (
            optimizer.configure(self.network, config.optim, steps),
            optimizer.configure(self.critic, its_own, steps),
        )

    def drawn(self, labels: Tensor) -> Tensor:
        """Pictures float [N, C, S, S] in 0–1 of fresh noise."""
        noise = torch.randn(len(labels), self._shape.latent, device=labels.device)
        picture: Tensor = self.network(noise, labels if self._shape.classes else None)
        return picture

    def _critic_turn(self, critic: LightningOptimizer, real: Tensor, labels: Tensor) -> Tensor:
        for _ in range(self._config.critic.turns):
            with torch.no_grad():
                drawn = self.drawn(labels)
            loss = self._critic_loss(real, drawn, labels)
            penalty = self._slope(real, labels) if self._config.critic.r1_weight else 0.0
            # The optimiser beneath Lightning's: the run's step counter counts the generator's alone.
            self._take_step(
                critic.optimizer, loss + self._config.critic.r1_weight / 2 * penalty, self.critic
            )
        return loss.detach()

    def _take_step(self, taker: Any, loss: Tensor, network: torch.nn.Module) -> None:
        taker.zero_grad()
        self.manual_backward(loss)
        if self._config.optim.gradient_clip:
            torch.nn.utils.clip_grad_norm_(network.parameters(), self._config.optim.gradient_clip)
        taker.step()

    def _critic_loss(self, real: Tensor, drawn: Tensor, labels: Tensor) -> Tensor:
        for_real, for_drawn = self.critic(real, labels), self.critic(drawn, labels)
        if self._config.loss == "hinge":
            return functional.relu(1 - for_real).mean() + functional.relu(1 + for_drawn).mean()
        wanted = torch.full_like(for_real, 1 - self._config.label_smoothing)
        return functional.binary_cross_entropy_with_logits(for_real, wanted) + (
            functional.softplus(for_drawn).mean()
        )

    def _generator_loss(self, drawn: Tensor, labels: Tensor) -> Tensor:
        score = self.critic(drawn, labels)
        return -score.mean() if self._config.loss == "hinge" else functional.softplus(-score).mean()

    def _slope(self, real: Tensor, labels: Tensor) -> Tensor:
        """Mean squared norm of the critic's gradient at real pictures."""
        pictures = real.detach().requires_grad_(True)
        score = self.critic(pictures, labels).sum()
        (slope,) = torch.autograd.grad(score, pictures, create_graph=True)
        return slope.square().sum(dim=(1, 2, 3)).mean()
