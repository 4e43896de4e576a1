"""Segmentation as a kind of work: what it reads, how it is judged, and that its graph is its network."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.data.boxed_files import mask, picture
from training import recipes
from training.data import scenes
from training.data.masked_pictures import IGNORED
from training.predict import torch_predict
from training.settings import with_settings
from training.tasks.dense_settings import SegmentationConfig
from training.tasks.semantic_segmentation import SemanticSegmentationWork
from training.train import cpu_threads
from training.work import Array, Arrays, Predict

TINY = recipes.get("segmentation").tiny


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


def new_work(data: Path | None = None, *settings: str) -> SemanticSegmentationWork:
    config = with_settings(recipes.get("segmentation").build_config(), [*TINY, *settings])
    assert isinstance(config, SegmentationConfig)
    work = SemanticSegmentationWork(config, data)
    work.prepare()
    return work


@pytest.fixture(scope="module")
def work() -> SemanticSegmentationWork:
    return new_work()


def oracle(work: SemanticSegmentationWork) -> Predict:
    """Knows the test pictures by heart, in the order in which they are asked for."""
    masks, row = work.prepared.test.masks, 0

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        nonlocal row
        wanted = masks[row : row + len(inputs["image"])]
        row += len(wanted)
        classes = np.arange(len(work.prepared.class_names))
        return {"logits": (wanted[:, None] == classes[:, None, None]).astype(np.float32)}

    return predict


def test_who_knows_everything_has_all_points(work: SemanticSegmentationWork) -> None:
    main, pixels = work.evaluate(oracle(work))
    assert (main.metric, pixels.metric) == ("mIoU", "pixel-accuracy")
    assert main.value == pixels.value == pytest.approx(1)
    assert main.interval is not None
    # Of sixteen classes only the background is ever right.
    assert main.baselines["majority"] < 0.1
    assert pixels.baselines["majority"] > 0.8


def test_the_background_is_a_class_of_its_own(work: SemanticSegmentationWork) -> None:
    assert work.prepared.class_names == ("background", *scenes.CLASS_NAMES)


@pytest.mark.parametrize("network", ["unet", "segformer"])
def test_a_training_step_learns_and_the_graph_answers_for_every_pixel(network: str) -> None:
    torch.manual_seed(0)
    work = new_work(None, f"network={network}", "depth=1")
    module = work.lightning_module()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    loss = module.training_step(next(iter(work.train_loader())), 0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    ask = torch_predict(work.export_plan(module), torch.device("cpu"))
    assert ask(work.sample_inputs(3, None))["logits"].shape == (3, 16, 64, 64)


def test_other_peoples_pictures_are_read_and_their_borders_not_judged(tmp_path: Path) -> None:
    for row in range(10):
        picture(tmp_path / "images" / f"a{row}.jpg", 64, 32)
        mask(tmp_path / "masks" / f"a{row}.png", np.repeat([[0] * 32 + [1] * 32], 32, axis=0))
    work = new_work(tmp_path)
    data = work.prepared
    assert (data.side, data.class_names) == (64, ("0", "1"))
    assert (data.test.masks[:, :16] == IGNORED).all()
    main, _ = work.evaluate(oracle(work))
    assert main.value == pytest.approx(1)
    assert main.baselines["majority"] == pytest.approx(0.25)


def test_the_sheets_are_drawn(work: SemanticSegmentationWork, tmp_path: Path) -> None:
    work.plots(tmp_path, oracle(work))
    assert {file.name for file in tmp_path.iterdir()} == {"samples.png", "classes.png"}
