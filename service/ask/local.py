"""Ask a bundle without a server: load it in this process, examine it, run the server's own pipeline."""

import asyncio
import time
from collections.abc import Callable

import orjson

from models.bundle import Bundle
from models.cgroup import usable_cores
from service.ask.question import Question
from service.ask.reply import Reply
from service.batching.batcher import batcher_over, limits_of
from service.observability.metrics import ModelMeters
from service.pipeline import Ask, predict
from service.registry import ServedModel
from service.tasks import open_task, plugin
from service.tasks.base import ServiceTask
from service.workers.inprocess import InProcessPool
from service.workers.options import HostOptions

ReadQuestion = Callable[[type[ServiceTask]], Question]


def ask_local(bundle: Bundle, read: ReadQuestion) -> Reply:
    """`read` gets the kind of task and gives the question. Raises SlipwayError of every kind."""
    return asyncio.run(_ask(bundle, read))


async def _ask(bundle: Bundle, read: ReadQuestion) -> Reply:
    question = read(
        plugin(bundle.manifest.task)
    )  # before the model is loaded: mistakes are told at once
    task = open_task(bundle)
    options = task.parse_options(question.options)
    data = question.data
    instance = task.read_json(question.value) if data is None else task.read_bytes(data)
    pool = InProcessPool(1, HostOptions(max(1, int(usable_cores()))))
    await pool.start()
    try:
        await pool.load(bundle)
        model = ServedModel(
            bundle, pool, ModelMeters(bundle.name, bundle.version), task, state="ready"
        )
        if bundle.manifest.runner == "batch":
            limits = limits_of(bundle.manifest.batching, pool.size)
            model.batcher = batcher_over(pool, model.key, bundle.manifest, limits, model.meters)
        began = time.perf_counter()
        prediction = await predict(model, [Ask(instance, options)])
        took_ms = (time.perf_counter() - began) * 1e3
        if model.batcher is not None:
            await model.batcher.close()
    finally:
        await pool.close()
    body = {
        "model_name": bundle.name,
        "model_version": str(bundle.version),
        "predictions": prediction.answers,
    }
    # As a server's answer is: arrays become lists.
    body = orjson.loads(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
    return Reply(bundle.manifest.task, body, took_ms)
