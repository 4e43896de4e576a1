"""Adversarial networks: who learns when, what is published, what is refused."""

import pytest
import torch
from pydantic import ValidationError

from training import recipes
from training.networks.adversarial import Critic, GanShape, Generator
from training.settings import with_settings
from training.tasks.drawing_settings import ImageGanConfig
from training.tasks.gan_module import GanModule
from training.tasks.image_gan import ImageGanWork

SHAPE = GanShape(channels=1, side=8, classes=10, latent=4, width=8, depth=2)


def config(recipe: str = "image-cgan", *settings: str) -> ImageGanConfig:
    made = with_settings(recipes.get(recipe).build_config(), ["width=8", *settings])
    assert isinstance(made, ImageGanConfig)
    return made


def work(recipe: str, *settings: str) -> ImageGanWork:
    made = ImageGanWork(config(recipe, *settings), None)
    made.prepare()
    return made


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    pixels = torch.arange(4 * 64, dtype=torch.uint8).reshape(4, 1, 8, 8)
    return pixels, torch.tensor([0, 1, 2, 3])


@torch.inference_mode()
def test_a_picture_does_not_depend_on_the_others_of_its_batch() -> None:
    torch.manual_seed(0)
    generator = Generator(SHAPE).eval()
    for weight in generator.parameters():  # blocks begin as if they were not told anything
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    noise, labels = torch.randn(5, 4), torch.arange(5)
    together = generator(noise, labels)
    assert together.shape == (5, 1, 8, 8)
    assert 0 <= float(together.min()) <= float(together.max()) <= 1
    alone = torch.cat([generator(noise[i : i + 1], labels[i : i + 1]) for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-6)
    assert not torch.allclose(together[0], generator(noise[:1], labels[4:])[0])


@pytest.mark.parametrize("has_spectral_norm", [True, False])
def test_the_critic_hears_the_class_where_there_are_classes(has_spectral_norm: bool) -> None:
    torch.manual_seed(0)
    picture, told = torch.rand(2, 1, 8, 8), torch.tensor([0, 1])
    critic = Critic(SHAPE, has_spectral_norm=has_spectral_norm).eval()
    assert not torch.allclose(critic(picture, told), critic(picture, told.flip(0)))
    untold = GanShape(channels=1, side=8, classes=0, latent=4, width=8, depth=2)
    deaf = Critic(untold, has_spectral_norm=has_spectral_norm).eval()
    assert torch.equal(deaf(picture, told), deaf(picture, 0 * told))


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_losses_prefer_a_critic_that_is_right_and_a_generator_that_deceives(loss: str) -> None:
    module = GanModule(SHAPE, config("image-cgan", f"loss={loss}"))
    real, drawn, labels = torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8), torch.zeros(2).long()

    class Sure(torch.nn.Module):
        def forward(self, picture: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return 4 * picture.mean(dim=(1, 2, 3)) - 2

    module.critic = Sure()  # type: ignore[assignment]
    right = module._critic_loss(real, drawn, labels)
    assert right < module._critic_loss(drawn, real, labels)
    assert module._generator_loss(real, labels) < module._generator_loss(drawn, labels)


def test_smoothed_labels_forbid_certainty() -> None:
    plain = GanModule(SHAPE, config("image-cgan", "loss=logistic"))
    smooth = GanModule(SHAPE, config("image-cgan", "loss=logistic", "label_smoothing=0.2"))

    class Certain(torch.nn.Module):
        def forward(self, picture: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return 40 * picture.mean(dim=(1, 2, 3)) - 20

    real, drawn, labels = torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8), torch.zeros(2).long()
    for module in (plain, smooth):
        module.critic = Certain()  # type: ignore[assignment]
    assert plain._critic_loss(real, drawn, labels) < 1e-3
    assert smooth._critic_loss(real, drawn, labels) == pytest.approx(0.2 * 20, rel=0.01)


def test_the_slope_is_that_of_the_critic() -> None:
    module = GanModule(SHAPE, config())

    class Slanted(torch.nn.Module):
        def forward(self, picture: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return 3 * picture.sum(dim=(1, 2, 3))

    module.critic = Slanted()  # type: ignore[assignment]
    slope = module._slope(torch.rand(2, 1, 8, 8), torch.zeros(2).long())
    assert float(slope) == pytest.approx(9 * 64)


@pytest.mark.parametrize(
    "setting", ["label_smoothing=0.1", "accumulate_batches=2", "precision=fp16"]
)
def test_settings_without_effect_are_refused(setting: str) -> None:
    name, _, value = setting.partition("=")
    with pytest.raises(ValidationError, match=name):
        ImageGanConfig.model_validate(
            {**config("image-cgan", "loss=hinge").model_dump(), name: value}
        )


def test_an_unconditional_model_has_one_name_and_no_label() -> None:
    told, untold = work("image-cgan"), work("image-dcgan")
    assert untold.prompts == ("any",)
    assert told.prompts == tuple("0123456789")
    draft = untold.draft(untold.lightning_module())
    assert [spec.name for spec in draft.inputs] == ["noise"]
    assert draft.preprocessing.model_dump()["label_input"] is None
    assert set(untold.sample_inputs(3, None)) == {"noise"}
    assert set(told.sample_inputs(3, None)) == {"noise", "label"}
