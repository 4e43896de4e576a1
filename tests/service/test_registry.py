"""What is served, what is refused and why, and when the server may say that it is ready."""

from pathlib import Path

import pytest

from models.bundle import Bundle
from service.errors import NotReady, UnknownModel
from service.observability.metrics import ModelMeters
from service.registry import ModelRegistry, ServedModel
from service.workers.base import ModelKey
from tests.service.manifests import vector


class Pool:
    is_healthy = True
    size = 1


def served(version: int, state: str = "ready", pool: object | None = None) -> ServedModel:
    manifest = vector(2).model_copy(update={"version": version})
    bundle = Bundle(Path("nowhere"), manifest)
    model = ServedModel(bundle, pool or Pool(), ModelMeters("m", version))  # type: ignore[arg-type]
    model.state = state  # type: ignore[assignment]
    return model


@pytest.fixture
def registry() -> ModelRegistry:
    made = ModelRegistry()
    made.is_loading = False
    return made


def test_the_newest_ready_version_answers_unless_another_is_asked_for(
    registry: ModelRegistry,
) -> None:
    for model in (served(1), served(10), served(9), served(11, "loading")):
        registry.add(model)
    assert registry.get("m").key == ModelKey("m", 10)
    assert registry.get("m", 9).key.version == 9
    assert registry.versions("m") == [1, 9, 10, 11]
    with pytest.raises(NotReady, match="loading"):
        registry.get("m", 11)


def test_unknown_names_and_versions_are_answered_with_the_known_ones(
    registry: ModelRegistry,
) -> None:
    registry.add(served(3))
    with pytest.raises(UnknownModel, match="served: m"):
        registry.get("w")
    with pytest.raises(UnknownModel, match="served: 3"):
        registry.get("m", 4)


def test_a_refused_model_is_not_unknown_but_not_ready_and_says_why(
    registry: ModelRegistry,
) -> None:
    registry.refuse(ModelKey("broken", 2), "broken/2: model.onnx has another checksum")
    with pytest.raises(NotReady, match="checksum"):
        registry.get("broken")
    [entry] = registry.index()
    assert (entry.state, entry.reason) == (
        "UNAVAILABLE",
        "broken/2: model.onnx has another checksum",
    )


def test_ready_means_that_every_required_model_can_answer() -> None:
    registry = ModelRegistry()
    assert not registry.is_ready, "still loading"
    registry.required = {"m"}
    registry.is_loading = False
    assert registry.not_ready() == ["m"]
    pool = Pool()
    registry.add(served(1, pool=pool))
    assert registry.is_ready
    pool.is_healthy = False
    assert not registry.is_ready
    pool.is_healthy = True
    registry.is_draining = True
    assert not registry.is_ready


def test_a_dead_batcher_takes_readiness_away(registry: ModelRegistry) -> None:
    model = served(1)
    registry.required = {"m"}
    registry.add(model)

    class Dead:
        is_alive = False

    model.batcher = Dead()  # type: ignore[assignment]
    assert not registry.is_ready
    assert registry.index()[0].state == "UNAVAILABLE"


def test_listeners_follow_every_change(registry: ModelRegistry) -> None:
    seen: list[list[str]] = []
    registry.on_change(lambda: seen.append(registry.names()))
    model = served(1)
    registry.add(model)
    registry.remove(model.key)
    assert seen == [[], ["m"], []]
