"""Anomaly detection as a kind of work: how it is judged, where its threshold comes from, and its graph."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.blocks import AnomalyPostprocessing
from models.errors import UsageError
from training import recipes
from training.data.images import normalise
from training.data.inspected_pictures import InspectedSplit
from training.export import export
from training.predict import onnx_predict, torch_predict
from training.settings import with_settings
from training.tasks.anomaly_settings import AnomalyConfig
from training.tasks.visual_anomaly import VisualAnomalyWork
from training.train import cpu_threads
from training.work import Array, Arrays, Predict

TINY = recipes.get("visual-anomaly").tiny
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with cpu_threads(1):
        yield


def new_work(*settings: str) -> VisualAnomalyWork:
    changed = {setting.partition("=")[0] for setting in settings}
    tiny = [setting for setting in TINY if setting.partition("=")[0] not in changed]
    config = with_settings(recipes.get("visual-anomaly").build_config(), [*tiny, *settings])
    assert isinstance(config, AnomalyConfig)
    work = VisualAnomalyWork(config, None)
    work.prepare()
    return work


@pytest.fixture
def work() -> VisualAnomalyWork:
    return new_work()


def oracle(work: VisualAnomalyWork) -> Predict:
    """Knows the masks of the test pictures by heart; all others are good."""
    test = work.pictures.test
    assert test.masks is not None
    known = {
        row.tobytes(): mask
        for row, mask in zip(normalise(test.pixels, work.pictures.block), test.masks, strict=True)
    }

    def predict(inputs: Mapping[str, Array]) -> Arrays:
        nothing = np.zeros(inputs["image"].shape[2:], dtype=bool)
        maps = np.stack([known.get(row.tobytes(), nothing) for row in inputs["image"]])
        maps = maps.astype(np.float32)
        return {"score": maps.max(axis=(1, 2)), "map": maps}

    return predict


def brightness(inputs: Mapping[str, Array]) -> Arrays:
    maps = np.abs(inputs["image"]).mean(axis=1)
    return {"score": maps.mean(axis=(1, 2)), "map": maps}


def test_who_knows_everything_has_all_points(work: VisualAnomalyWork) -> None:
    work.calibrate(oracle(work))
    figures = {figure.metric: figure for figure in work.evaluate(oracle(work))}
    assert [*figures] == ["roc-auc", "precision", "recall", "pixel-roc-auc"]
    assert [figure.value for figure in figures.values()] == [1, 1, 1, 1]
    main = figures["roc-auc"]
    assert main.interval is not None
    assert 0.3 < main.baselines["mean-picture"] < 1


def test_who_knows_nothing_has_half(work: VisualAnomalyWork) -> None:
    def same(inputs: Mapping[str, Array]) -> Arrays:
        return {key: np.ones_like(value) for key, value in brightness(inputs).items()}

    assert work.evaluate(same)[0].value == 0.5


def test_pixels_are_not_judged_where_a_mask_is_missing(work: VisualAnomalyWork) -> None:
    known = oracle(work)
    work.pictures = replace(work.pictures, test=replace(work.pictures.test, masks=None))
    work.calibrate(known)
    assert [one.metric for one in work.evaluate(known)] == ["roc-auc", "precision", "recall"]


def test_the_threshold_lets_the_stated_part_of_good_validation_pictures_pass() -> None:
    work = new_work("threshold_quantile=0.75", "surfaces.validation=40")
    work.calibrate(brightness)
    validation = work.pictures.validation
    scores = brightness({"image": normalise(validation.pixels, work.pictures.block)})["score"]
    assert (scores > work.threshold).sum() == 9  # of 40: the quantile itself passes too
    assert work.threshold in scores


def test_the_threshold_knows_nothing_of_test_pictures(work: VisualAnomalyWork) -> None:
    asked: list[bytes] = []

    def listening(inputs: Mapping[str, Array]) -> Arrays:
        asked.extend(row.tobytes() for row in inputs["image"])
        return brightness(inputs)

    work.calibrate(listening)
    validation = normalise(work.pictures.validation.pixels, work.pictures.block)
    assert asked == [row.tobytes() for row in validation]


def test_only_good_training_pictures_are_learned_from(work: VisualAnomalyWork) -> None:
    seen = torch.cat([batch[0] for batch in work.train_loader()])
    good = {row.tobytes() for row in work.pictures.train.pixels}
    assert {row.numpy().tobytes() for row in seen} == good
    assert not work.pictures.train.is_bad.any()


@pytest.mark.parametrize("method", ["features", "autoencoder"])
def test_a_step_learns_and_the_graph_answers_as_torch_does_for_any_batch(
    method: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    work = new_work(f"method={method}")
    module = work.lightning_module()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    loss = module.training_step(next(iter(work.train_loader())), 0)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in module.network.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)

    plan = work.export_plan(module)
    assert work.export_plan(module).module is plan.module
    export(plan, work.sample_inputs(2, None), tmp_path / "model.onnx")
    ask, ask_graph = torch_predict(plan, CPU), onnx_predict(tmp_path / "model.onnx")
    for batch in (1, 2, 7):
        inputs = work.sample_inputs(batch, None)
        answers, given = ask(inputs), ask_graph(inputs)
        assert answers["score"].shape == (batch,)
        assert answers["map"].shape == (batch, 32, 32)
        for name, answer in answers.items():
            assert np.allclose(answer, given[name], rtol=1e-4, atol=1e-4)

    work.calibrate(ask)
    block = work.draft(module).postprocessing
    assert isinstance(block, AnomalyPostprocessing)
    assert block.threshold == work.threshold
    assert block.map_low < block.threshold < block.map_high


def test_validation_sees_the_same_pieces_every_time(work: VisualAnomalyWork) -> None:
    torch.manual_seed(0)
    module, found = work.lightning_module().eval(), []
    module.log = lambda _, value, **__: found.append(float(value))  # type: ignore[method-assign]
    batch = next(iter(work.val_loader()))
    with torch.no_grad():
        for index in (0, 0, 1):
            module.validation_step(batch, index)
    assert found[0] == found[1] != found[2]


def test_the_autoencoder_is_to_redraw_the_picture_without_what_was_pasted() -> None:
    work = new_work("method=autoencoder")
    module = work.lightning_module()
    given: list[torch.Tensor] = []

    def nothing(image: torch.Tensor) -> torch.Tensor:
        given.append(image)
        return torch.zeros_like(image)

    module.network.forward = nothing
    pixels = torch.from_numpy(work.pictures.train.pixels)
    clean = module.normalised(module.scaled(pixels))
    assert module._loss(pixels).item() == pytest.approx(clean.pow(2).mean().item(), rel=1e-5)
    assert not torch.equal(given[0], clean)


def test_kinds_are_told_apart_in_the_card(work: VisualAnomalyWork) -> None:
    work.calibrate(oracle(work))
    (table,) = work.tables(oracle(work))
    assert table.rows[0] == ("good", "12", "0.0%", "–")
    assert [row[0] for row in table.rows[1:]] == ["hole", "scratch", "shift", "smear", "stain"]
    assert {row[1:] for row in table.rows[1:]} == {("2", "100.0%", "1.0000")}
    assert "drawn" in table.note


def test_the_sheets_are_drawn(work: VisualAnomalyWork, tmp_path: Path) -> None:
    work.calibrate(oracle(work))
    work.plots(tmp_path, oracle(work))
    assert {file.name for file in tmp_path.iterdir()} == {"samples.png", "scores.png"}


def test_a_side_without_whole_cells_is_refused_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match=r"canvas\.side=100 is no multiple of 16 pixels; set 96"):
        new_work("canvas.side=100")


def test_more_neighbours_than_are_remembered_are_refused() -> None:
    with pytest.raises(UsageError, match="neighbours 9 must be among the 8"):
        new_work("memory=8", "neighbours=9")


def test_the_plain_baseline_is_the_worst_deviation_from_the_mean_picture(
    work: VisualAnomalyWork,
) -> None:
    train = np.zeros((4, 3, 16, 16), dtype=np.uint8)
    train[::2] = 20  # mean 10, deviation 10, and 1 that keeps it from zero
    work.pictures = replace(work.pictures, train=InspectedSplit(train, ("good",) * 4))
    asked = np.full((2, 3, 16, 16), 10, dtype=np.uint8)
    asked[1, :, 3, 4] = 32
    assert work._plain_scores(asked) == pytest.approx([0, 2])
