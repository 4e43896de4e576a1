"""Diffusion: what is learned, that guidance is what it says, and that pictures do not see each other."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from models.errors import UsageError
from training import recipes
from training.networks.conditional_unet import ConditionalUnet, GuidedStep, UnetShape
from training.settings import with_settings
from training.tasks.diffusion_module import DiffusionModule
from training.tasks.image_diffusion import ImageDiffusionWork
from training.work import Array, Arrays

SHAPE = UnetShape(channels=1, side=8, classes=10, width=8, depth=1)


def work(*settings: str) -> ImageDiffusionWork:
    made = recipes.get("image-diffusion").build_config()
    made = with_settings(made, ["unet.width=8", *settings])
    prepared = recipes.get("image-diffusion").work_class()(made, None)
    assert isinstance(prepared, ImageDiffusionWork)
    prepared.prepare()
    return prepared


def network() -> ConditionalUnet:
    """With weights in place of the zeros that it begins with."""
    torch.manual_seed(0)
    made = ConditionalUnet(SHAPE).eval()
    for weight in made.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return made


def inputs(count: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return torch.randn(count, 1, 8, 8), torch.rand(count), torch.arange(count) % 10


@torch.inference_mode()
def test_guidance_follows_the_difference_that_the_class_makes() -> None:
    made, (x, t, label) = network(), inputs(3)
    step = GuidedStep(made)
    told, untold = made(x, t, label), made(x, t, torch.full_like(label, 10))
    assert not torch.allclose(told, untold, atol=1e-3)
    for guidance in (0.0, 1.0, 2.5):
        expected = untold + guidance * (told - untold)
        assert torch.allclose(step(x, t, label, torch.full((3,), guidance)), expected, atol=1e-5)


@torch.inference_mode()
def test_a_step_does_not_depend_on_the_other_items_of_its_batch() -> None:
    step, (x, t, label) = GuidedStep(network()), inputs(5)
    guidance = torch.linspace(0, 3, 5)
    together = step(x, t, label, guidance)
    alone = [step(*(part[i : i + 1] for part in (x, t, label, guidance))) for i in range(5)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("formulation", ["flow", "ddpm"])
def test_the_loss_is_least_for_what_the_walk_takes_for_right(formulation: str) -> None:
    made = work(f"formulation={formulation}")
    module = made.lightning_module()
    assert isinstance(module, DiffusionModule)
    pixels = torch.full((64, 1, 8, 8), 255, dtype=torch.uint8)
    labels = torch.zeros(64, dtype=torch.int64)

    class Knowing(torch.nn.Module):
        """All pictures are white: from x and t alone follows what was mixed in."""

        def forward(self, x: torch.Tensor, t: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            t = t[:, None, None, None]
            if formulation == "flow":
                return (x - 1) / t
            angle = 0.49 * torch.pi * t
            return (x - angle.cos()) / angle.sin()

    module.network = Knowing()  # type: ignore[assignment]
    assert float(module._loss(pixels, labels)) < 1e-3


def test_drawing_walks_from_noise_to_what_the_graph_says() -> None:
    made = work("steps=3", "sampler=heun", "guidance_scale=1.5")
    asked: list[Arrays] = []

    def white(given: Mapping[str, Array]) -> Arrays:
        asked.append(dict(given))
        t = given["t"][:, None, None, None]
        return {"prediction": ((given["x"] - 1) / t).astype(np.float32)}

    labels = np.arange(7, dtype=np.int64)
    pictures = made.draw(labels, 0, white)
    assert pictures.shape == (7, 1, 8, 8)
    assert np.allclose(pictures, 1, atol=1e-5)
    assert len(asked) == 5  # two runs for each of three steps, but one for the last
    assert set(asked[0]["t"]) == {1.0}
    assert set(asked[0]["guidance"]) == {1.5}


def test_the_draft_says_how_to_walk() -> None:
    made = work("steps=7", "sampler=heun", "formulation=ddpm")
    draft = made.draft(made.lightning_module())
    block = draft.preprocessing.model_dump()
    assert (block["steps"], block["sampler"], block["formulation"]) == (7, "heun", "ddpm")
    assert [spec.name for spec in draft.inputs] == ["x", "t", "label", "guidance"]
    assert draft.postprocessing.model_dump()["low"] == -1


def test_pictures_that_cannot_be_halved_so_often_are_refused() -> None:
    with pytest.raises(UsageError, match=r"set image.side to a multiple of 16, e.g. 16"):
        work("unet.depth=4", "image.side=12")
