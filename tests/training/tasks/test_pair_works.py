"""Sentence embedding and text similarity as the pipeline asks them, on little data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.blocks import EmbeddingPostprocessing, ScorePostprocessing
from models.errors import UsageError
from models.manifest import Evaluation
from training import recipes, settings
from training.errors import DataError
from training.predict import torch_predict
from training.tasks.pair_work import PairWork
from training.train import cpu_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads of a tiny network wait for each other at every layer."""
    with cpu_threads(1):
        yield


TINY = {name: recipes.get(name).tiny for name in ("sentences", "reranker")}


def work(recipe: str, *given: str, data: Path | None = None) -> PairWork[Any]:
    entry = recipes.get(recipe)
    wanted = dict(
        setting.partition("=")[::2] for setting in (*entry.tiny, "baseline=false", *given)
    )
    config = settings.with_settings(
        entry.build_config(own_data=data is not None),
        [f"{key}={value}" for key, value in wanted.items()],
    )
    torch.manual_seed(0)
    made = entry.work_class()(config, data)
    made.prepare()
    assert isinstance(made, PairWork)
    return made


def judged(made: PairWork[Any]) -> tuple[Evaluation, ...]:
    plan = made.export_plan(made.lightning_module().eval())
    return made.evaluate(torch_predict(plan, torch.device("cpu")))


def loss(made: PairWork[Any]) -> torch.Tensor:
    module = made.lightning_module()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    result: torch.Tensor = module.training_step(next(iter(made.train_loader())), 0)
    return result


@pytest.mark.parametrize("recipe", TINY)
@pytest.mark.parametrize(
    ("kind", "metrics"),
    [
        ("positive", ["mrr", "recall@1", "spearman"]),
        ("triplet", ["mrr", "recall@1", "spearman"]),
        ("scored", ["spearman"]),
    ],
)
def test_every_kind_of_rows_has_a_loss_and_its_figures(
    recipe: str, kind: str, metrics: list[str]
) -> None:
    made = work(recipe, f"paraphrases.kind={kind}")
    assert torch.isfinite(loss(made))
    figures = judged(made)
    assert [figure.metric for figure in figures] == metrics
    for figure in figures:
        assert figure.interval is not None
        assert figure.interval.low <= figure.value <= figure.interval.high


@pytest.mark.parametrize("recipe", TINY)
def test_the_baseline_stands_beside_the_figure(recipe: str) -> None:
    figures = judged(work(recipe, "baseline=true"))
    by_name = {figure.metric: figure.baselines for figure in figures}
    assert by_name["mrr"].keys() == by_name["spearman"].keys() == {"tf-idf"}
    assert 0 < by_name["mrr"]["tf-idf"] <= 1


@pytest.mark.parametrize(
    ("recipe", "choice"),
    [
        ("sentences", "scored_loss=cosent"),
        ("sentences", "scored_loss=cosine"),
        ("reranker", "loss=bce"),
        ("reranker", "loss=mse"),
    ],
)
def test_each_loss_for_scores_learns(recipe: str, choice: str) -> None:
    made = work(recipe, choice, "paraphrases.kind=scored")
    module = made.lightning_module()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    batch = next(iter(made.train_loader()))
    losses = []
    for _ in range(8):
        step = module.training_step(batch, 0)
        optimizer.zero_grad()
        step.backward()
        optimizer.step()
        losses.append(float(step.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("network", ["bag", "lstm", "pretrained"])
@pytest.mark.parametrize("recipe", TINY)
def test_any_encoder_will_do(recipe: str, network: str) -> None:
    given = [f"network={network}"]
    if network == "lstm":
        given += ["recurrent.width=8", "recurrent.units=8"]
    made = work(recipe, *given)
    assert torch.isfinite(loss(made))


def test_dimensions_may_be_asked_for_only_where_they_were_trained() -> None:
    for sizes, expected in (("8", True), ("", False)):
        made = work("sentences", f"matryoshka={sizes}")
        block = made.draft(made.lightning_module()).postprocessing
        assert isinstance(block, EmbeddingPostprocessing)
        assert block.may_be_shortened is expected


def test_more_dimensions_than_the_vector_has_are_refused() -> None:
    with pytest.raises(UsageError, match="less than the vector's 16"):
        work("sentences", "matryoshka=16").lightning_module()


@pytest.mark.parametrize(("choice", "activation"), [("auto", "sigmoid"), ("mse", "none")])
def test_the_manifest_says_what_the_number_means(choice: str, activation: str) -> None:
    made = work("reranker", f"loss={choice}", "paraphrases.kind=scored")
    block = made.draft(made.lightning_module()).postprocessing
    assert isinstance(block, ScorePostprocessing)
    assert block.activation == activation
    assert block.scale == 5.0  # scores from 0 to 5


def test_a_text_of_which_nothing_is_left_is_told_before_the_training(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    rows = [f"one {n}\ttwo {n}\n" for n in range(12)]
    path.write_text("".join([*rows, "\u2028 \u3000\u00a0x\ty\n", "\u00ad\u200b\tz\n"]))
    made = work("sentences", data=path)
    assert len(made.texts.train) > 0
    made.encoder.tokenizer.normalizer = None
    with pytest.raises(DataError, match="keeps nothing"):
        _without(made, "z")


def _without(made: PairWork[Any], text: str) -> None:
    """Let the tokenizer drop a text that it was fitted to."""
    from tokenizers import normalizers

    made.encoder.tokenizer.normalizer = normalizers.Replace(text, "")
    made._require_readable()


def test_samples_have_the_length_that_is_asked_for() -> None:
    for recipe in TINY:
        made = work(recipe)
        inputs = made.sample_inputs(3, 20)
        assert {array.shape for array in inputs.values()} == {(3, 20)}
        assert all(
            np.array_equal(a, b)
            for a, b in zip(inputs.values(), made.sample_inputs(3, 20).values(), strict=True)
        )


@pytest.mark.parametrize("recipe", TINY)
@pytest.mark.parametrize("kind", ["triplet", "scored"])
def test_a_sheet_of_samples_is_drawn(recipe: str, kind: str, tmp_path: Path) -> None:
    made = work(recipe, f"paraphrases.kind={kind}")
    plan = made.export_plan(made.lightning_module().eval())
    made.plots(tmp_path, torch_predict(plan, torch.device("cpu")))
    assert (tmp_path / "samples.png").stat().st_size > 1000
