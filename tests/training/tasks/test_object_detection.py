"""Detection as a kind of work: what it reads, how it is judged, and that its graph is its network."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.transforms.image import to_tensor
from tests.training.data.boxed_files import coco, write_coco
from training import recipes
from training.data import scenes
from training.predict import torch_predict
from training.settings import with_settings
from training.tasks.dense_settings import DetectionConfig
from training.tasks.object_detection import ObjectDetectionWork
from training.train import cpu_threads
from training.work import Array, Arrays, Predict

TINY = recipes.get("detection").tiny


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


def new_work(data: Path | None = None, *settings: str) -> ObjectDetectionWork:
    config = with_settings(recipes.get("detection").build_config(), [*TINY, *settings])
    assert isinstance(config, DetectionConfig)
    work = ObjectDetectionWork(config, data)
    work.prepare()
    return work


@pytest.fixture(scope="module")
def work() -> ObjectDetectionWork:
    return new_work()


def oracle(work: ObjectDetectionWork, off_by_pixels: float = 0.0) -> Predict:
    """Knows the test pictures by heart, in the order in which they are asked for."""
    test, row = work.prepared.test, 0

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        nonlocal row
        count = len(inputs["image"])
        rows = slice(row, row + count)
        row += count
        labels = test.labels[rows]
        scores = (labels[..., None] == np.arange(len(scenes.CLASS_NAMES))) * 0.9
        return {"boxes": test.boxes[rows] + off_by_pixels, "scores": scores}

    return predict


def test_who_knows_everything_has_all_points(work: ObjectDetectionWork) -> None:
    main, strict = work.evaluate(oracle(work))
    assert (main.metric, strict.metric) == ("mAP@50", "mAP@50:95")
    assert main.value == strict.value == pytest.approx(1)
    assert main.interval is not None
    assert main.interval.high == pytest.approx(1)
    assert 0 <= main.baselines["median-box"] < 0.2
    assert main.samples == 16


def test_boxes_beside_their_objects_cost_at_strict_thresholds_first(
    work: ObjectDetectionWork,
) -> None:
    main, strict = work.evaluate(oracle(work, off_by_pixels=2.0))
    assert main.value > 0.8
    assert strict.value < 0.7


def test_the_summary_tells_what_was_drawn(work: ObjectDetectionWork) -> None:
    summary = work.data_summary()
    assert summary["data set"] == "scenes: 15 classes"
    assert summary["train"].startswith("48 pictures, ")
    assert work.data_sha256() == new_work().data_sha256()


def test_the_network_sees_what_the_server_prepares(work: ObjectDetectionWork) -> None:
    pixels = work.prepared.test.pixels[np.random.default_rng(0).permutation(16)[0]]
    served = to_tensor(Image.fromarray(pixels.transpose(1, 2, 0)), work.prepared.block)
    np.testing.assert_allclose(work.sample_inputs(1, None)["image"][0], served, atol=1e-6)


def test_a_training_step_learns_and_ignores_what_moved_away(work: ObjectDetectionWork) -> None:
    torch.manual_seed(0)
    module = work.lightning_module()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    batch = next(iter(work.train_loader()))
    loss = module.training_step(batch, 0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert all(weight.grad is not None for weight in module.network.parameters())


def test_other_peoples_pictures_settle_side_and_splits(tmp_path: Path) -> None:
    write_coco(tmp_path, coco(10))
    work = new_work(tmp_path)
    data = work.prepared
    assert data.side == 32  # pictures are 40 pixels wide
    assert data.class_names == ("dog", "cat")
    assert len(data.train) + len(data.validation) + len(data.test) == 10
    assert data.note == "no test pictures given: 20% held out, seed 0"
    plan = work.export_plan(work.lightning_module())
    answers = torch_predict(plan, torch.device("cpu"))(work.sample_inputs(2, None))
    assert answers["boxes"].shape == (2, 16 + 4 + 1, 4)
    assert answers["scores"].shape == (2, 16 + 4 + 1, 2)
    assert work.draft(work.lightning_module()).preprocessing.kind == "image"


def test_the_sheets_are_drawn(work: ObjectDetectionWork, tmp_path: Path) -> None:
    work.plots(tmp_path, oracle(work))
    assert {file.name for file in tmp_path.iterdir()} == {"samples.png", "classes.png"}
