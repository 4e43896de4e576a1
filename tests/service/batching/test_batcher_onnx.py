"""Real graphs: what a caller gets does not depend on whom it shared a batch with, and is its own."""

import asyncio
import random
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from models.datatypes import DataType
from models.manifest import Batching
from service.batching.batcher import Batcher, limits_of
from service.batching.ticket import Ticket
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.graphs import graph, spec
from tests.service.loops import in_loop
from tests.service.manifests import manifest_of

WIDTH = 16
INPUT = spec("x", DataType.FLOAT, ("batch", WIDTH))
OUTPUT = spec("y", DataType.FLOAT, ("batch", WIDTH))
MANIFEST = manifest_of([INPUT], [OUTPUT])

Session = Callable[[Arrays], Arrays]


def session(nodes: list[object], weights: dict[str, np.ndarray] | None = None) -> Session:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    data = graph(nodes, [INPUT], [OUTPUT], weights)  # type: ignore[arg-type]
    made = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda inputs: {"y": made.run(None, dict(inputs))[0]}


@pytest.fixture(scope="module")
def elementwise() -> Session:
    """x·1.5 + tanh(x): no row sees another."""
    return session(
        [
            helper.make_node("Mul", ["x", "scale"], ["scaled"]),
            helper.make_node("Tanh", ["x"], ["bent"]),
            helper.make_node("Add", ["scaled", "bent"], ["y"]),
        ],
        {"scale": np.array(1.5, np.float32)},
    )


@pytest.fixture(scope="module")
def perceptron() -> Session:
    chance = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return (chance.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    return session(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
        ],
        {"w1": weight(WIDTH, 64), "b1": weight(64), "w2": weight(64, WIDTH), "b2": weight(WIDTH)},
    )


REQUESTS = st.lists(
    st.tuples(st.integers(1, 11), st.integers(0, 2**31), st.booleans()), min_size=1, max_size=12
)
BATCHING = st.builds(
    Batching,
    max_batch_size=st.integers(1, 16),
    allowed_batch_sizes=st.sampled_from([(), (1, 4, 16)]),
)


async def serve(
    run_graph: Session, requests: list[tuple[int, int, bool]], batching: Batching
) -> list[tuple[Arrays, Ticket]]:
    """What was sent and what became of it, of those who stayed."""

    async def run(inputs: Arrays) -> RunResult:
        return RunResult(run_graph(inputs), 0.001)

    batcher = Batcher(run, MANIFEST, limits_of(batching, 2), ModelMeters("m", 1))
    sent = []
    for rows, seed, stays in requests:
        values = np.random.default_rng(seed).standard_normal((rows, WIDTH)) * 4
        inputs = {"x": values.astype(np.float32)}
        ticket = batcher.enqueue(inputs, rows)
        if stays:
            sent.append((inputs, ticket))
        else:
            ticket.cancel()
    await batcher.close()
    return sent


@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS, batching=BATCHING)
def test_answers_of_a_row_by_row_graph_have_the_bits_that_they_have_alone(
    elementwise: Session, requests: list[tuple[int, int, bool]], batching: Batching
) -> None:
    for inputs, ticket in asyncio.run(serve(elementwise, requests, batching)):
        assert ticket.outputs is not None
        assert ticket.outputs["y"].tobytes() == elementwise(inputs)["y"].tobytes()


@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS, batching=BATCHING)
def test_answers_of_a_perceptron_are_within_a_millionth_of_those_alone(
    perceptron: Session, requests: list[tuple[int, int, bool]], batching: Batching
) -> None:
    """Another batch size may take another matrix kernel, which adds in another order."""
    for inputs, ticket in asyncio.run(serve(perceptron, requests, batching)):
        assert ticket.outputs is not None
        np.testing.assert_allclose(ticket.outputs["y"], perceptron(inputs)["y"], atol=1e-6, rtol=0)


@in_loop
async def test_of_20000_requests_with_random_departures_each_gets_its_own_tensor() -> None:
    """Every request carries a number of its own; runs overlap and end in any order."""
    chance = random.Random(1)

    async def run(inputs: Arrays) -> RunResult:
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        return RunResult({"y": inputs["x"]}, 0.0)

    limits = limits_of(Batching(max_batch_size=8), 3)
    batcher = Batcher(run, MANIFEST, limits, ModelMeters("m", 1))
    outcomes = {"own": 0, "left": 0}

    def check(number: int) -> Callable[[Ticket], None]:
        def on_done(ticket: Ticket) -> None:
            if ticket.error is not None:
                outcomes["left"] += 1
            else:
                assert ticket.outputs is not None
                outcomes["own"] += bool((ticket.outputs["y"] == number).all())

        return on_done

    waiting: list[Ticket] = []
    for number in range(20_000):
        rows = chance.choice((1, 1, 1, 2, 5))
        inputs = {"x": np.full((rows, WIDTH), number, np.float32)}
        waiting.append(batcher.enqueue(inputs, rows, on_done=check(number)))
        if chance.random() < 0.2:
            waiting[chance.randrange(len(waiting))].cancel()
        if len(waiting) == 40:
            waiting.clear()
            await asyncio.sleep(0)
            while batcher.pending_rows > 100:
                await asyncio.sleep(0)
    await batcher.close()
    assert outcomes["own"] + outcomes["left"] == 20_000
    assert outcomes["left"] < 5_000
