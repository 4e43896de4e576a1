"""Versions come and go; whoever is served meanwhile notices nothing."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.errors import SlipwayError
from models.manifest import Batching
from service.errors import ControlRefused, LoadFailed, NotReady, StartError, UnknownModel
from service.workers.base import ModelKey
from tests.service import graphs
from tests.service.lifecycle.world import FAILED_GATE, World, broken
from tests.service.loops import in_loop, until

M1, M2 = ModelKey("m", 1), ModelKey("m", 2)


# -- start -------------------------------------------------------------------------------------------


@in_loop
async def test_the_newest_version_is_served_and_the_index_says_why_the_others_are_not(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    for _ in range(3):
        world.publish()
    await world.lifecycle.start()
    assert await world.ask() == 3
    assert world.states() == {"m/1": "UNAVAILABLE", "m/2": "UNAVAILABLE", "m/3": "READY"}
    assert world.reason(1) == "not selected by the version policy latest=1"
    assert world.registry.is_ready
    with pytest.raises(UnknownModel, match="served: 3"):
        world.registry.get("m", 1)


@pytest.mark.parametrize(
    ("policy", "served"), [("latest=2", [2, 3]), ("all", [1, 2, 3]), ("specific=1,3", [1, 3])]
)
def test_the_policy_decides_how_many(policy: str, served: list[int], tmp_path: Path) -> None:
    @in_loop
    async def check() -> None:
        world = World(tmp_path, version_policy=policy)
        for _ in range(3):
            world.publish()
        await world.lifecycle.start()
        assert world.registry.versions("m") == served
        assert [await world.ask(version=number) for number in served] == served

    check()


@in_loop
async def test_a_version_that_fails_gives_its_place_to_the_next_older_and_is_counted(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    for _ in range(4):
        world.publish()
    (world.repository / "m" / "4" / "model.onnx").write_bytes(b"other bytes")
    world.pool.failing.add(ModelKey("m", 3))
    world.pool.broken[M2] = broken()
    await world.lifecycle.start()
    assert await world.ask() == 1
    assert world.failures(4) == {"integrity": 1}
    assert world.failures(3) == {"exam": 1}
    assert world.failures(2) == {"bundle": 1}
    assert "checksum" in world.reason(4) or "size" in world.reason(4)
    assert "golden exam" in world.reason(3)
    assert "load m/3" not in world.pool.events, "what fails its exam comes near no worker"


@in_loop
async def test_a_failed_gate_is_a_reason_unless_it_is_allowed(tmp_path: Path) -> None:
    world = World(tmp_path, allow_failed_gate="good")
    world.publish("m", (FAILED_GATE,))
    world.publish("good", (FAILED_GATE,))
    await world.lifecycle.start()
    assert world.registry.names() == ["good"]
    assert world.failures(1) == {"gate": 1}
    assert "--allow-failed-gate m" in world.reason(1)


@in_loop
async def test_a_model_asked_for_by_name_must_be_served(tmp_path: Path) -> None:
    world = World(tmp_path, model="m")
    world.publish()
    world.pool.failing.add(M1)
    with pytest.raises(StartError, match="'m' cannot be served"):
        await world.lifecycle.start()
    with pytest.raises(StartError, match="it has: m"):
        await World(tmp_path, model="w").lifecycle.start()


@in_loop
async def test_a_model_that_failed_at_start_does_not_hold_up_readiness(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish()
    world.publish("w")
    world.pool.failing.add(ModelKey("w", 1))
    await world.lifecycle.start()
    assert world.registry.is_ready
    with pytest.raises(NotReady, match="golden exam"):
        world.registry.get("w")


# -- swaps -------------------------------------------------------------------------------------------


@in_loop
async def test_a_swap_loads_first_and_unloads_when_the_last_item_of_the_old_version_is_done(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.publish()
    await world.lifecycle.start()
    with world.pool.holding("run m/1") as gate:
        old = asyncio.create_task(world.ask())
        await asyncio.sleep(0)
        world.publish()
        await world.lifecycle.look()
        assert await world.ask() == 2, "new requests get the new version at once"
        assert world.states() == {"m/1": "UNLOADING", "m/2": "READY"}
        gate.set()
        assert await old == 1, "the answer is the one of the version that took the request"
    await until(lambda: "unload m/1" in world.pool.events)
    assert world.pool.events[-3:] == ["examine m/2", "load m/2", "unload m/1"]
    assert world.reason(1) == "not selected by the version policy latest=1"


@in_loop
async def test_a_request_that_holds_the_old_version_can_still_use_it_after_the_swap(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.publish()
    await world.lifecycle.start()
    held = world.registry.get("m")
    held.begin()
    world.publish()
    await world.lifecycle.look()
    assert not held.is_ready, "the fast lane lets go of it"
    assert held.batcher is not None
    outputs = await held.batcher.submit({"x": np.zeros(4, np.float32)})
    assert outputs["y"][0] == 1
    assert M1 in world.pool.held
    held.end()
    await until(lambda: M1 not in world.pool.held)
    assert held.batcher is None, "what is unloaded keeps nothing in memory"


@in_loop
async def test_a_new_version_that_fails_leaves_the_old_one_serving_and_ready(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.publish()
    await world.lifecycle.start()
    world.publish()
    world.pool.failing.add(M2)
    with world.pool.holding("examine m/2") as gate:
        looking = asyncio.create_task(world.lifecycle.look())
        await until(lambda: "examine m/2" in world.pool.events)
        assert world.states()["m/2"] == "LOADING"
        assert world.registry.is_ready, "a load never flips readiness"
        assert await world.ask() == 1
        gate.set()
        await looking
    assert world.registry.is_ready
    assert await world.ask() == 1
    assert world.states() == {"m/1": "READY", "m/2": "UNAVAILABLE"}
    assert world.failures(2) == {"exam": 1}
    await world.lifecycle.look()
    assert world.failures(2) == {"exam": 1}, "not tried again while its files are the same"


@in_loop
async def test_hundreds_of_swaps_lose_and_mix_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, model_control_mode="explicit")
    world.publish()
    world.publish()
    await world.lifecycle.load("m", 1)
    asked = 0

    async def hammer() -> None:
        nonlocal asked
        while not swapping.done():
            model = world.registry.get("m")
            assert model.batcher is not None
            outputs = await model.batcher.submit({"x": np.zeros(4, np.float32)})
            assert outputs["y"][0] == model.key.version
            asked += 1

    async def swap() -> None:
        for turn in range(80):
            await world.lifecycle.load("m", 2 - turn % 2)

    swapping = asyncio.create_task(swap())
    await asyncio.gather(swapping, *(hammer() for _ in range(4)))
    assert asked > 80
    await until(lambda: len(world.pool.held) == 1)


# -- polling -----------------------------------------------------------------------------------------


@in_loop
async def test_new_models_appear_and_deleted_ones_are_drained(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish()
    await world.lifecycle.start()
    world.publish("w")
    await world.lifecycle.look()
    assert world.registry.required == {"m", "w"}
    assert await world.ask("w") == 1
    shutil.rmtree(world.repository / "m")
    await world.lifecycle.look()
    assert world.registry.names() == ["w"]
    await until(lambda: M1 not in world.pool.held)
    assert world.registry.is_ready
    assert world.states() == {"w/1": "READY"}
    with pytest.raises(UnknownModel):
        world.registry.get("m")


@in_loop
async def test_a_model_asked_for_by_name_is_missed_when_it_is_deleted(tmp_path: Path) -> None:
    world = World(tmp_path, model="m")
    world.publish()
    await world.lifecycle.start()
    shutil.rmtree(world.repository / "m")
    await world.lifecycle.look()
    assert world.registry.not_ready() == ["m"]
    world.publish()
    await world.lifecycle.look()
    assert world.registry.is_ready


@in_loop
async def test_when_the_newest_version_is_deleted_the_one_before_it_takes_over(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.publish()
    world.publish()
    await world.lifecycle.start()
    shutil.rmtree(world.repository / "m" / "2")
    await world.lifecycle.look()
    assert await world.ask() == 1
    assert world.states()["m/1"] == "READY"


@in_loop
async def test_a_deleted_version_stays_while_nothing_can_take_its_place(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish()
    await world.lifecycle.start()
    shutil.rmtree(world.repository / "m" / "1")
    world.publish()
    world.pool.failing.add(M2)
    await world.lifecycle.look()
    assert await world.ask() == 1
    assert world.registry.is_ready


@in_loop
async def test_unchanged_versions_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, version_policy="all")
    world.publish()
    world.publish()
    await world.lifecycle.start()
    opened: list[Path] = []
    real = world.lifecycle._loading.open

    async def counted(path: Path) -> object:
        opened.append(path)
        return await real(path)

    monkeypatch.setattr(world.lifecycle._loading, "open", counted)
    await world.lifecycle.look()
    assert opened == []
    world.publish()
    await world.lifecycle.look()
    assert [path.name for path in opened] == ["3"]


@in_loop
async def test_a_repository_that_cannot_be_read_changes_nothing_but_a_counter(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.publish()
    await world.lifecycle.start()
    world.repository.rename(tmp_path / "gone")
    await world.lifecycle.look()
    await world.lifecycle.look()
    assert world.metrics.repository_poll_errors == 2
    assert world.registry.is_ready
    assert await world.ask() == 1
    (tmp_path / "gone").rename(world.repository)
    world.publish()
    await world.lifecycle.look()
    assert await world.ask() == 2


@in_loop
async def test_a_model_that_loads_slowly_does_not_hold_up_the_others(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.lifecycle.start()
    world.publish("slow")
    with world.pool.holding("load slow/1") as gate:
        first = asyncio.create_task(world.lifecycle.look())
        await until(lambda: "load slow/1" in world.pool.events)
        world.publish("quick")
        await world.lifecycle.look()
        assert await world.ask("quick") == 1
        assert world.pool.events.count("load slow/1") == 1
        gate.set()
        await first
    assert await world.ask("slow") == 1


@in_loop
async def test_a_version_copied_slowly_is_served_once_it_is_complete(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.lifecycle.start()
    target = world.repository / "m" / "1"
    bundle = graphs.doubler().publish(tmp_path / "elsewhere", "m", tmp_path)
    target.mkdir(parents=True)
    shutil.copy(bundle.path / "manifest.json", target)
    await world.lifecycle.look()
    assert world.states() == {"m/1": "UNAVAILABLE"}
    for file in bundle.path.iterdir():
        shutil.copy(file, target)
    await world.lifecycle.look()
    assert await world.ask() == 1


@in_loop
async def test_damage_to_the_files_of_a_served_version_does_not_end_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    bundle = world.publish()
    await world.lifecycle.start()
    (bundle.path / "model.onnx").write_bytes(b"other bytes")
    await world.lifecycle.look()
    assert await world.ask() == 1
    assert world.failures(1) == {"integrity": 1}


@in_loop
async def test_another_bundle_under_the_same_number_is_examined_and_then_takes_over(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    bundle = world.publish()
    await world.lifecycle.start()
    gates = (FAILED_GATE,)
    other = graphs.doubler().publish(tmp_path / "other", "m", tmp_path, gates=gates)
    shutil.rmtree(bundle.path)
    shutil.copytree(other.path, bundle.path)
    await world.lifecycle.look()
    assert await world.ask() == 1
    assert world.failures(1) == {"gate": 1}, "judged before anything is taken away"
    assert world.pool.events == ["examine m/1", "load m/1"]
    third = graphs.doubler().publish(
        tmp_path / "third", "m", tmp_path, batching=Batching(max_batch_size=3)
    )
    shutil.rmtree(bundle.path)
    shutil.copytree(third.path, bundle.path)
    await world.lifecycle.look()
    assert world.pool.events[2:] == ["examine m/1", "unload m/1", "load m/1"]
    assert world.registry.is_ready


@in_loop
async def test_a_load_that_failed_for_another_reason_than_its_files_is_tried_again(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.publish()
    world.pool.broken[M1] = NotReady("no worker is up; try again in a moment")
    await world.lifecycle.start()
    assert world.registry.names() == []
    assert "no worker is up" in world.reason(1)
    del world.pool.broken[M1]
    await world.lifecycle.look()
    assert await world.ask() == 1


# -- commands ----------------------------------------------------------------------------------------


@in_loop
async def test_explicit_control_begins_with_what_is_named_and_lists_the_rest(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, model_control_mode="explicit", model="m")
    world.publish()
    world.publish("w")
    await world.lifecycle.start()
    assert world.registry.names() == ["m"]
    assert world.reason(1, "w") == "not loaded"
    assert world.registry.is_ready
    await world.lifecycle.load("w")
    assert await world.ask("w") == 1
    await world.lifecycle.unload("m")
    assert M1 not in world.pool.held, "answered when the memory is free"
    assert world.registry.is_ready, "what was unloaded on purpose is not missed"
    assert world.reason(1) == "unloaded"
    with pytest.raises(UnknownModel, match="not loaded: unloaded"):
        world.registry.get("m")
    await world.lifecycle.unload("m")  # a second time is no mistake


@in_loop
async def test_commands_about_what_is_not_there_are_the_callers_mistake(tmp_path: Path) -> None:
    world = World(tmp_path, model_control_mode="explicit")
    world.publish()
    for name in ("w", "../m", "", "m\0", "a" * 5000):
        with pytest.raises(UnknownModel):
            await world.lifecycle.load(name)
        with pytest.raises(UnknownModel):
            await world.lifecycle.unload(name)
    with pytest.raises(UnknownModel, match="version 7"):
        await world.lifecycle.load("m", 7)
    assert len(world.lifecycle._turns) == 0, "names from requests are not remembered"


@pytest.mark.parametrize("mode", ["none", "poll"])
def test_commands_are_refused_in_the_other_modes(mode: str, tmp_path: Path) -> None:
    @in_loop
    async def check() -> None:
        world = World(tmp_path, model_control_mode=mode)
        with pytest.raises(ControlRefused, match="explicit"):
            await world.lifecycle.load("m")
        with pytest.raises(ControlRefused, match=mode):
            await world.lifecycle.unload("m")

    check()


@in_loop
async def test_a_load_that_fails_says_why_and_what_is_served_instead(tmp_path: Path) -> None:
    world = World(tmp_path, model_control_mode="explicit")
    world.publish()
    await world.lifecycle.load("m")
    world.publish()
    world.pool.broken[M2] = broken()
    with pytest.raises(LoadFailed, match="cannot be opened; version 1 is served"):
        await world.lifecycle.load("m")
    assert await world.ask() == 1
    del world.pool.broken[M2]
    await world.lifecycle.load("m")
    assert await world.ask() == 2, "a command tries again what failed"


@in_loop
async def test_one_version_can_be_asked_for_and_the_next_load_goes_by_the_policy_again(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, model_control_mode="explicit")
    for _ in range(2):
        world.publish()
    await world.lifecycle.load("m", 1)
    assert world.registry.versions("m") == [1]
    await world.lifecycle.load("m")
    assert await world.ask() == 2


@pytest.mark.parametrize("last", ["load", "unload"])
def test_of_many_commands_at_once_the_last_decides(last: str, tmp_path: Path) -> None:
    @in_loop
    async def check() -> None:
        world = World(tmp_path, model_control_mode="explicit")
        names = [f"m{number}" for number in range(8)]
        for name in names:
            world.publish(name)
        commands = []
        for turn in range(32):
            for name in names:
                is_load = (turn % 2 == 0) == (last == "unload")
                command = world.lifecycle.load if is_load else world.lifecycle.unload
                commands.append(asyncio.create_task(command(name)))
        results = await asyncio.gather(*commands, return_exceptions=True)
        wrong = [r for r in results if r is not None and not isinstance(r, SlipwayError)]
        assert wrong == []
        assert world.registry.names() == (names if last == "load" else [])
        await until(lambda: len(world.pool.held) == (len(names) if last == "load" else 0))
        assert len(world.lifecycle._turns) == 0

    check()


@in_loop
async def test_a_command_goes_on_when_its_caller_has_left(tmp_path: Path) -> None:
    world = World(tmp_path, model_control_mode="explicit")
    world.publish()
    with world.pool.holding("load m/1") as gate:
        command = asyncio.create_task(world.lifecycle.load("m"))
        await until(lambda: "load m/1" in world.pool.events)
        command.cancel()
        gate.set()
        await until(lambda: world.states() == {"m/1": "READY"})
