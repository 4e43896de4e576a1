"""Decode steps that are captured and replayed, with this process's memory in the GPU's place.

The session replays as CUDA does: by a step's number alone, with the binding of its first run, whatever is
bound now.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from models.golden import Golden
from models.manifest import Tolerance
from models.runtimes.onnxruntime.control import GRAPH_ID, NO_GRAPH
from service.generation import graph as graphs
from service.generation.cache import SlotCache
from service.generation.captured_steps import MOST_ROWS
from service.generation.engine import SlotEngine
from service.generation.exam import examine
from service.generation.graph import DecoderGraph, GraphRefused, Place, open_graph
from service.generation.graph_runs import GraphRuns
from service.generation.kv_memory import DeviceMemory, HostMemory
from service.generation.limits import EngineLimits
from tests.models.runtimes.onnxruntime.fakes import NO_CAPTURE
from tests.service.generation.conftest import CONTEXT, TinyModel
from tests.service.generation.test_kv_memory import HostCopies, answers_of


class Replaying:
    """`captured`: of each number, the binding that it will go on running. `fails`: so many captured runs."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self.captured: dict[str, ort.IOBinding] = {}
        self.replays = self.plain = self.fails = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, binding: ort.IOBinding, options: ort.RunOptions) -> None:
        number = options.get_run_config_entry(GRAPH_ID)
        if number == NO_GRAPH:
            self.plain += 1
            self._session.run_with_iobinding(binding, options)
            return
        assert number != "0", "the runtime's own"
        if self.fails:
            self.fails -= 1
            raise RuntimeError("CUDA failure 901: operation failed during capture")
        self.replays += number in self.captured
        self._session.run_with_iobinding(self.captured.setdefault(number, binding), options)


@pytest.fixture
def session(tiny: TinyModel) -> Replaying:
    return Replaying(tiny.graph.session)


@pytest.fixture
def capturing(tiny: TinyModel, session: Replaying, monkeypatch: pytest.MonkeyPatch) -> DecoderGraph:
    """The tiny model's graph as if opened on a device; caches are a device's from here on."""

    def memory(graph: DecoderGraph, rows: int, length: int) -> DeviceMemory:
        return DeviceMemory(graph, rows, length, HostCopies())

    monkeypatch.setattr("service.generation.cache._memory_of", memory)
    return replace(tiny.graph, session=session, runs=GraphRuns(captures=True))  # type: ignore[arg-type]


def engine_of(graph: DecoderGraph, slots: int) -> SlotEngine:
    return SlotEngine(graph, EngineLimits(CONTEXT, slots, max_waiting=100, prefill_chunk_tokens=8))


def test_answers_are_those_of_plain_steps_on_the_host(
    capturing: DecoderGraph, session: Replaying, make_engine: Callable[..., SlotEngine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    found = answers_of(engine_of(capturing, slots=3))
    assert session.replays > 50, "most steps are replayed"
    assert len(session.captured) == 3, "once for every number of rows"
    monkeypatch.undo()
    assert found == answers_of(make_engine(slots=3, chunk=8))


def test_a_longer_row_is_captured_anew_with_a_longer_bound(
    tiny: TinyModel, capturing: DecoderGraph, session: Replaying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reads the bound on the CPU: a replay of a shorter one would not see the last tokens."""
    monkeypatch.setattr("service.generation.captured_steps._LEAST_TOTAL", 16)
    device = SlotCache(capturing, 1, CONTEXT)
    host = SlotCache(tiny.graph, 1, CONTEXT, memory=HostMemory(tiny.graph, 1, CONTEXT))
    captured = []
    for length in (6, 15, 16, 30, 32, 63, 64, 95):
        tokens = np.random.default_rng(length).integers(0, 61, length)
        for cache in (device, host):
            cache.feed(0, 0, tokens)
            cache.ids[0], cache.lengths[0] = 7, length
        np.testing.assert_array_equal(device.decode(1), host.decode(1))
        captured.append(len(session.captured))
    assert captured == [1, 1, 2, 2, 3, 3, 4, 4], "up to 16, 32, 64 and 96 positions"


def test_more_rows_than_pay_are_run_plainly(capturing: DecoderGraph, session: Replaying) -> None:
    cache = SlotCache(capturing, MOST_ROWS + 1, 32)
    for row in range(cache.rows):
        cache.feed(row, 0, np.arange(2, 6, dtype=np.int64))
        cache.lengths[row] = 4
    fed = session.plain
    together = cache.decode(MOST_ROWS + 1).copy()
    assert (session.plain, session.captured) == (fed + 1, {})
    np.testing.assert_array_equal(cache.decode(MOST_ROWS), together[:MOST_ROWS])
    assert len(session.captured) == 1


def test_two_caches_of_a_graph_never_share_a_number(
    capturing: DecoderGraph, session: Replaying
) -> None:
    """A replay would write into the other's memory, which may be gone."""
    for _ in range(2):
        cache = SlotCache(capturing, 1, 32)
        cache.feed(0, 0, np.arange(4, dtype=np.int64))
        cache.lengths[0] = 4
        cache.decode(1)
    assert len(session.captured) == 2
    assert session.replays == 0


def test_a_step_that_cannot_be_captured_is_run_plainly_and_tried_again(
    capturing: DecoderGraph, session: Replaying, make_engine: Callable[..., SlotEngine],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    session.fails = 2
    found = answers_of(engine_of(capturing, slots=3))
    assert session.replays > 50
    assert caplog.text.count("it is run plainly") == 2
    monkeypatch.undo()
    assert found == answers_of(make_engine(slots=3, chunk=8))


def test_after_three_failures_nothing_is_captured_any_more(
    capturing: DecoderGraph, session: Replaying, caplog: pytest.LogCaptureFixture
) -> None:
    session.fails = 1 << 20
    assert sum(map(len, answers_of(engine_of(capturing, slots=3)).values())) > 200
    assert (1 << 20) - session.fails == 3
    assert caplog.text.count("it is run plainly") == 3


def test_the_exam_takes_captured_steps_too(
    tiny: TinyModel, capturing: DecoderGraph, session: Replaying
) -> None:
    golden = golden_of(tiny)
    assert examine(capturing, golden, Tolerance(atol=1e-3, rtol=1e-3)) < 1e-3
    assert (len(session.captured), session.replays) == (1, 1)


def golden_of(tiny: TinyModel) -> Golden:
    """Two prompts of six tokens and the logits behind the first's last."""
    graph = tiny.graph
    past = np.zeros((2, graph.kv_heads, 8, graph.head_size), graph.cache_dtype)
    given = {
        "ids": np.random.default_rng(5).integers(0, 61, (2, 6)),
        "seqlens_k": np.full(2, 5, np.int32),
        "total": np.array([6], np.int32),
        "logit_idx": np.array([5, 11], np.int64),
        **{f"past.{name}": past for name in graph.cache_names},
    }
    return Golden(given, {"logits": graph.session.run(["logits"], given)[0]})


# -- options and opening ---------------------------------------------------------------------------


def test_a_wish_to_stop_reaches_captured_runs_and_ends_with_the_step() -> None:
    runs = GraphRuns(captures=True)
    step = runs.captured()
    runs.stop()
    assert step.terminate
    assert runs.plain.terminate
    runs.go_on()
    assert not step.terminate
    assert not runs.plain.terminate


def test_plain_runs_say_that_they_are_not_captured_only_where_runs_are() -> None:
    assert GraphRuns(captures=True).plain.get_run_config_entry(GRAPH_ID) == NO_GRAPH
    with pytest.raises(RuntimeError):
        GraphRuns().plain.get_run_config_entry(GRAPH_ID)


@pytest.mark.parametrize(("complaint", "opens"), [(NO_CAPTURE, True), ("no such kernel", False)])
def test_a_graph_that_cannot_be_captured_is_opened_without(
    complaint: str, opens: bool, tiny: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    capturing, plain = ["capturing"], ["plain"]
    asked = []

    def opened(_model: bytes, _options: object, _part: str, providers: Any) -> ort.InferenceSession:
        asked.append(providers)
        if providers is capturing:
            raise GraphRefused(complaint)
        return tiny.graph.session

    monkeypatch.setattr(graphs, "open_session", opened)
    place = Place(plain, capturing=capturing)  # type: ignore[arg-type]
    if not opens:
        with pytest.raises(GraphRefused, match=complaint):
            open_graph(tiny.file, place=place)
        return
    assert not open_graph(tiny.file, place=place).runs.captures
    assert asked == [capturing, plain]
