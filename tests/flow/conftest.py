"""Short runs of the demo's recipes, published into one repository and served by one real server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from docs.examples.demo_models import DEMO
from models.bundle import Bundle
from tests.service.conftest import ServerProcess, running
from tests.training.fake_work import silent_reporter
from training import pipeline, recipes
from training import train as train_stage
from training.train import Trained
from training.work import ExportPlan, Work

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Tiny runs teach little, so the floors are off; every other gate and stage is as in a long run.
_ANY = ("gates.accuracy_floor=none", "gates.beats=")


@dataclass(frozen=True)
class Flow:
    """What a run published, and the torch side of the very weights that it published."""

    bundle: Bundle
    work: Work[Any]
    trained: Trained

    @property
    def plan(self) -> ExportPlan:
        return self.work.export_plan(self.trained.module)


class Flows(dict[str, Flow]):
    """Flows by recipe, and so by model; each is trained when a test first asks for it."""

    def __init__(self, repository: Path) -> None:
        super().__init__()
        self.repository = repository

    def __missing__(self, recipe: str) -> Flow:
        self[recipe] = train_tiny(recipe, self.repository)
        return self[recipe]


@pytest.fixture(scope="session")
def shared_flows(tmp_path_factory: pytest.TempPathFactory) -> Flows:
    """For models of the demo alone: all that is in their repository is served."""
    return Flows(tmp_path_factory.mktemp("flow") / "models" / "repository")


@pytest.fixture(scope="session")
def flows(shared_flows: Flows) -> Flows:
    """All models of the demo. The first test that asks trains what is missing: minutes on a busy machine."""
    for model in DEMO:
        shared_flows[model.recipe]
    return shared_flows


@pytest.fixture(scope="session")
def flow_repository(shared_flows: Flows) -> Path:
    return shared_flows.repository


def train_tiny(recipe: str, repository: Path) -> Flow:
    """The whole path with the recipe's own tiny settings, on data that needs no download."""
    kept: list[tuple[Work[Any], Trained] | None] = []
    train = train_stage.train

    def keep(work: Work[Any], *args: Any, **kwargs: Any) -> Trained:
        place = len(kept)
        kept.append(None)  # a teacher is trained within its student's run, and ends before it
        trained = train(work, *args, **kwargs)
        kept[place] = (work, trained)
        return trained

    reads_sources = recipe in ("pycode-gpt", "language-model")
    data = _own_sources(repository.parent) if reads_sources else None
    request = pipeline.Request(
        recipe, data, (*_ANY, *recipes.get(recipe).tiny), repository, repository.parent / "runs"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_stage, "train", keep)
        bundle = pipeline.run(request, silent_reporter()[0])
    assert kept[0] is not None
    return Flow(bundle, *kept[0])  # others are networks that teach or judge the first


def _own_sources(folder: Path) -> Path:
    """A text to learn from that is there without the standard library's sources."""
    target = folder / "sources.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(path.read_text() for path in sorted((ROOT / "models").rglob("*.py"))))
    return target


@pytest.fixture(scope="session")
def served(flows: Flows) -> Iterator[ServerProcess]:
    with running("--repository", str(flows.repository)) as server:
        yield server
