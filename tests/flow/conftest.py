"""Four short runs, one a recipe, published into one repository and served by one real server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.bundle import Bundle
from tests.service.conftest import ServerProcess, running
from tests.training.fake_work import silent_reporter
from training import pipeline
from training import train as train_stage
from training.train import Trained
from training.work import ExportPlan, Work

ROOT = Path(__file__).parents[2]

# Twenty steps teach little, so the floors are off; every other gate and stage is as in a long run.
_ANY = ("max_steps=20", "gates.accuracy_floor=none", "gates.beats=")
_SMALL_DECODER = ("decoder.width=32", "decoder.heads=2", "decoder.kv_heads=1", "decoder.layers=2")
SETTINGS = {
    "digits": (),
    "language-id": (
        "phrases.train=40",
        "phrases.validation=5",
        "phrases.test=10",
        "baseline=false",
    ),
    "digits-vae": ("judge_epochs=2", "samples_per_class=10"),
    "pycode-gpt": (
        *_SMALL_DECODER,
        "decoder.hidden=48",
        "decoder.context=96",
        "vocabulary=400",
    ),
}


@dataclass(frozen=True)
class Flow:
    """What a run published, and the torch side of the very weights that it published."""

    bundle: Bundle
    work: Work[Any]
    trained: Trained

    @property
    def plan(self) -> ExportPlan:
        return self.work.export_plan(self.trained.module)


@pytest.fixture(scope="session")
def flow_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flow") / "models" / "repository"


@pytest.fixture(scope="session")
def flows(flow_repository: Path) -> dict[str, Flow]:
    return {recipe: _train(recipe, flow_repository) for recipe in SETTINGS}


def _train(recipe: str, repository: Path) -> Flow:
    kept: list[tuple[Work[Any], Trained]] = []
    train = train_stage.train

    def keep(work: Work[Any], *args: Any, **kwargs: Any) -> Trained:
        trained = train(work, *args, **kwargs)
        kept.append((work, trained))
        return trained

    data = _own_sources(repository.parent) if recipe == "pycode-gpt" else None
    request = pipeline.Request(
        recipe, data, (*_ANY, *SETTINGS[recipe]), repository, repository.parent / "runs"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_stage, "train", keep)
        bundle = pipeline.run(request, silent_reporter()[0])
    return Flow(bundle, *kept[0])  # later ones are networks trained to judge the first


def _own_sources(folder: Path) -> Path:
    """A text to learn from that is there without the standard library's sources."""
    target = folder / "sources.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(path.read_text() for path in sorted((ROOT / "models").rglob("*.py"))))
    return target


@pytest.fixture(scope="session")
def served(flows: dict[str, Flow], flow_repository: Path) -> Iterator[ServerProcess]:
    assert len(flows) == len(SETTINGS)
    with running("--repository", str(flow_repository)) as server:
        yield server
