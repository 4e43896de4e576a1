"""What each kind of work gives to the search for variants: a score for each item, rows to calibrate with."""

import pytest

from training import recipes, train
from training.optimizing.rows import require_rows
from training.predict import torch_predict
from training.settings import with_settings
from training.work import Work

# A recipe of each kind of work whose main metric is a mean over items.
SCORED = ("digits", "image-embedding", "language-id", "answers", "sentences", "reranker")
# And those that only calibrate: entity F1, mean average precision and mean IoU are no means over items.
CALIBRATED = (*SCORED, "entities", "detection", "segmentation")


def untrained(name: str) -> tuple[Work, object, object]:  # type: ignore[type-arg]
    recipe = recipes.get(name)
    config = with_settings(recipe.build_config(), recipe.tiny)
    train.seed_everything(config.seed)
    work = recipe.work_class()(config, None)
    work.prepare()
    module = work.lightning_module().eval()
    plan = work.export_plan(module)
    return work, plan, torch_predict(plan, train.CPU)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORED)
def test_the_mean_of_the_items_is_the_main_metric(name: str) -> None:
    work, _, ask = untrained(name)
    work.calibrate(ask)  # type: ignore[arg-type]
    scores = work.item_scores(ask)  # type: ignore[arg-type]
    main = work.evaluate(ask)[0]  # type: ignore[arg-type]
    assert scores is not None
    assert len(scores) == main.samples
    assert float(scores.mean()) == pytest.approx(main.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALIBRATED)
def test_calibration_rows_are_what_the_graph_reads(name: str) -> None:
    work, plan, _ = untrained(name)
    batches = list(work.calibration_inputs())
    assert batches
    for batch in batches:
        require_rows(name, batch, plan.inputs)  # type: ignore[attr-defined]
