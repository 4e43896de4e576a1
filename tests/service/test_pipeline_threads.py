"""Pictures are decoded and long texts tokenized off the event loop, several at a time."""

import asyncio
import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from service.batching.batcher import Batcher, limits_of
from service.observability.metrics import ModelMeters
from service.pipeline import Ask, predict
from service.registry import ServedModel
from service.tasks import open_task
from service.tasks.base import BatchTask, Prepared
from service.workers.base import Arrays, RunResult
from tests.service.bundles import digits_bundle, language_bundle
from tests.service.fakes import FakePool, compute
from tests.service.scene_bundles import segmentation_bundle

MEGAPIXELS_20 = (5000, 4000)


def served(bundle: Bundle, task: BatchTask) -> ServedModel:
    async def run(inputs: Arrays) -> RunResult:
        return RunResult(answer(bundle, inputs), 0.001)

    meters = ModelMeters(bundle.name, bundle.version)
    model = ServedModel(bundle, FakePool({}), meters, task, state="ready")
    model.batcher = Batcher(run, bundle.manifest, limits_of(bundle.manifest.batching, 1), meters)
    return model


def answer(bundle: Bundle, inputs: Arrays) -> Arrays:
    if bundle.manifest.task == "semantic-segmentation":
        return {"logits": np.zeros((len(inputs["image"]), 3, 16, 16), np.float32)}
    return compute(bundle.manifest.task, inputs)


def opened(bundle: Bundle) -> BatchTask:
    task = open_task(bundle)
    assert isinstance(task, BatchTask)
    return task


def photograph(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize(size).save(out, "JPEG")
    return out.getvalue()


def asked(task: BatchTask, *instances: object) -> list[Ask]:
    options = task.parse_options({})
    return [Ask(instance, options) for instance in instances]


def test_the_loop_goes_on_while_a_large_picture_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = digits_bundle(tmp_path / "repository")
    task, spent, turns = opened(bundle), [], []
    decode = task.preprocess

    def timed(instance: object, options: Any) -> Prepared:
        began = time.monotonic()
        prepared = decode(instance, options)
        spent.append((began, time.monotonic(), threading.get_ident()))
        return prepared

    monkeypatch.setattr(task, "preprocess", timed)

    async def scenario() -> None:
        asking = asyncio.create_task(
            predict(served(bundle, task), asked(task, photograph(MEGAPIXELS_20)))
        )
        while not asking.done():
            await asyncio.sleep(0.001)
            turns.append(time.monotonic())
        assert await asking

    asyncio.run(scenario())
    [(began, ended, thread)] = spent
    assert thread != threading.get_ident()
    assert sum(began < turn < ended for turn in turns) >= 3


def both_at_once(task: BatchTask, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The method ends only when two calls of it are under way at the same time."""
    meeting, original = threading.Barrier(2), getattr(task, method)

    def met(*given: object) -> object:
        meeting.wait(timeout=20)
        return original(*given)

    monkeypatch.setattr(task, method, met)


def test_two_pictures_of_one_request_are_decoded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = digits_bundle(tmp_path / "repository")
    task, data = opened(bundle), photograph((40, 30))
    both_at_once(task, monkeypatch, "preprocess")

    async def scenario() -> int:
        return len((await predict(served(bundle, task), asked(task, data, data))).answers)

    assert asyncio.run(scenario()) == 2


@pytest.mark.parametrize("kind", ["picture", "text"])
def test_two_requests_are_prepared_at_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = digits_bundle if kind == "picture" else language_bundle
    bundle = maker(tmp_path / "repository")
    task = opened(bundle)
    instance = photograph((40, 30)) if kind == "picture" else " " * 5000 + "hej"
    both_at_once(task, monkeypatch, "preprocess")

    async def scenario() -> None:
        model, options = served(bundle, task), task.parse_options({})
        if kind == "text":
            options = task.parse_options({"truncate": True})
        await asyncio.gather(*(predict(model, [Ask(instance, options)]) for _ in range(2)))

    asyncio.run(scenario())


def test_answers_that_take_long_to_write_are_written_at_once_off_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = segmentation_bundle(tmp_path / "repository")
    task, data = opened(bundle), photograph((300, 200))
    both_at_once(task, monkeypatch, "postprocess")

    async def scenario() -> int:
        return len((await predict(served(bundle, task), asked(task, data, data))).answers)

    assert asyncio.run(scenario()) == 2
