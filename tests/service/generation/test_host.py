"""The host answers every request exactly once, whatever callers and channels do."""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from models.blocks import GenerationPostprocessing, PromptPreprocessing, TensorPreprocessing
from models.bundle import Bundle
from models.manifest import Batching, ManifestDraft, QueuePolicy
from models.publish import publish
from service.generation.engine import SlotEngine
from service.generation.graph import GraphRefused
from service.generation.host import GenerationHost
from service.generation.limits import EngineLimits
from service.generation.request import GenerationEvent, GenerationRequest
from service.generation.requests import Events
from service.generation.stats import EngineStats
from tests.service.generation.conftest import CONTEXT, TinyModel, request, run_alone
from training.networks.slot_plan import slot_inputs, slot_outputs

PATIENCE_S = 20.0


def publish_tiny(tiny: TinyModel, folder: Path, **changes: object) -> Bundle:
    staged = folder / "staged"
    staged.mkdir()
    (staged / "model.onnx").write_bytes(tiny.file)
    fields: dict[str, object] = {
        "name": "tiny",
        "task": "text-generation",
        "runner": "generation",
        "inputs": slot_inputs(tiny.decoder.config),
        "outputs": slot_outputs(tiny.decoder.config, tiny.graph.vocabulary),
        "preprocessing": PromptPreprocessing(context_tokens=CONTEXT),
        "postprocessing": GenerationPostprocessing(),
        "batching": Batching(max_batch_size=3),
    }
    return publish(folder / "repository", ManifestDraft(**(fields | changes)), staged)  # type: ignore[arg-type]


@pytest.fixture
def bundle(tiny: TinyModel, tmp_path: Path) -> Bundle:
    return publish_tiny(tiny, tmp_path)


@pytest.fixture
def host(bundle: Bundle) -> Iterator[GenerationHost]:
    host = GenerationHost(bundle)
    yield host
    host.close()


class Mailbox:
    """Collects events per request; `wait` returns once so many final events are in."""

    def __init__(self) -> None:
        self.events: dict[int, list[GenerationEvent]] = {}
        self.calls = 0
        self._finals: queue.Queue[int] = queue.Queue()

    def __call__(self, events: Events) -> None:
        self.calls += 1
        for request_id, event in events:
            self.events.setdefault(request_id, []).append(event)
            if event.finish_reason is not None:
                self._finals.put(request_id)

    def wait(self, finals: int) -> list[int]:
        return [self._finals.get(timeout=PATIENCE_S) for _ in range(finals)]

    def tokens(self, request_id: int) -> list[int]:
        return [token for event in self.events[request_id] for token in event.token_ids]

    def reason(self, request_id: int) -> str | None:
        reasons = [event.finish_reason for event in self.events[request_id]]
        assert reasons[:-1] == [None] * (len(reasons) - 1)
        return reasons[-1]


def test_many_callers_get_the_tokens_that_each_gets_alone(
    host: GenerationHost, make_engine: Callable[..., SlotEngine]
) -> None:
    box = Mailbox()
    rng = np.random.default_rng(3)
    wanted = {
        index: request(
            rng.integers(0, 60, rng.integers(1, 50)).tolist(), max_tokens=12, seed=index, top_k=20
        )
        for index in range(20)
    }
    for index, entry in wanted.items():
        host.submit(index, entry.to_json(), box)
    host.cancel(7)
    box.wait(len(wanted))
    for index, entry in wanted.items():
        expected = run_alone(make_engine(slots=1, chunk=64), entry).tokens
        if box.reason(index) == "cancelled":
            assert index == 7
            expected = expected[: len(box.tokens(index))]
        assert box.tokens(index) == expected


@pytest.mark.parametrize(
    "payload", [b"{", b'{"prompt_ids": []}', b'{"prompt_ids": [60, 61]}', b'{"prompt_ids": [-4]}']
)
def test_bad_request_is_answered_by_an_event(host: GenerationHost, payload: bytes) -> None:
    box = Mailbox()
    host.submit(5, payload, box)
    assert box.wait(1) == [5]
    [event] = box.events[5]
    assert (event.finish_reason, event.code) == ("error", "bad_request")
    assert event.error


def test_full_queue_is_answered_by_an_event(tiny: TinyModel, tmp_path: Path) -> None:
    policy = QueuePolicy(max_queue_size=1)
    batching = Batching(max_batch_size=1, default_queue_policy=policy)
    host = GenerationHost(publish_tiny(tiny, tmp_path, batching=batching))
    box = Mailbox()
    for index in range(12):
        host.submit(index, request([1], max_tokens=90, temperature=0.0).to_json(), box)
    box.wait(12)
    host.close()
    codes = {box.events[index][-1].code for index in range(12)}
    assert codes == {None, "queue_full"}


def test_channel_that_breaks_loses_its_own_request_only(host: GenerationHost) -> None:
    box = Mailbox()

    def broken(events: Events) -> None:
        raise BrokenPipeError

    host.submit(1, request([1, 2], max_tokens=60).to_json(), broken)
    host.submit(2, request([1, 2], max_tokens=10).to_json(), box)
    box.wait(1)
    assert len(box.tokens(2)) == 10
    assert host.is_alive


def test_fault_in_a_step_is_told_to_everybody_and_the_next_request_is_served(
    host: GenerationHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(engine: SlotEngine) -> None:
        raise RuntimeError("a fault of ours")

    box = Mailbox()
    with monkeypatch.context() as patch:
        patch.setattr(SlotEngine, "step", broken)
        for index in range(3):
            host.submit(index, request([1, 2], max_tokens=5).to_json(), box)
        box.wait(3)
    assert {box.events[index][-1].code for index in range(3)} == {"inference_failed"}
    host.submit(9, request([1, 2], max_tokens=5).to_json(), box)
    box.wait(1)
    assert box.reason(9) == "length"


def test_close_answers_everybody_and_refuses_what_comes_after(bundle: Bundle) -> None:
    host = GenerationHost(bundle)
    box = Mailbox()
    for index in range(30):
        host.submit(index, request([1, 2], max_tokens=94).to_json(), box)
    host.close()
    host.close()
    assert sorted(box.wait(30)) == list(range(30))
    assert {box.reason(index) for index in range(30)} <= {"cancelled", "length"}
    host.submit(31, request([1]).to_json(), box)
    box.wait(1)
    assert box.events[31][-1].code == "shutting_down"
    assert not host.is_alive


def test_stop_tokens_of_the_bundle_end_every_answer(
    tiny: TinyModel, tmp_path: Path, make_engine: Callable[..., SlotEngine]
) -> None:
    wanted = request([5, 6], max_tokens=12, temperature=0.0)
    free = run_alone(make_engine(), wanted).tokens
    ending = GenerationPostprocessing(stop_token_ids=(free[5],))
    host = GenerationHost(publish_tiny(tiny, tmp_path, postprocessing=ending))
    box = Mailbox()
    host.submit(0, wanted.to_json(), box)
    box.wait(1)
    host.close()
    assert (box.tokens(0), box.reason(0)) == (free[: free.index(free[5])], "stop")


def test_bundle_without_prompts_is_refused(tiny: TinyModel, tmp_path: Path) -> None:
    bundle = publish_tiny(tiny, tmp_path, preprocessing=TensorPreprocessing())
    with pytest.raises(GraphRefused):
        GenerationHost(bundle)


def test_request_ids_may_be_used_again(host: GenerationHost) -> None:
    box = Mailbox()
    payload = GenerationRequest((1,)).to_json()
    for _ in range(3):
        host.submit(1, payload, box)
        box.wait(1)
    assert len(box.events[1]) == 3 * 16


def test_the_events_of_a_step_for_one_receiver_are_one_message(bundle: Bundle) -> None:
    stats: list[EngineStats] = []
    host = GenerationHost(bundle, limits=EngineLimits(CONTEXT, slots=3), on_stats=stats.append)
    box = Mailbox()
    for index in range(3):
        host.submit(index, request([1, 2], max_tokens=60, temperature=0.0).to_json(), box)
    box.wait(3)
    host.close()
    steps = sum(report.steps for report in stats)
    assert sum(len(box.tokens(index)) for index in range(3)) == 180
    assert box.calls <= steps


def test_what_was_measured_is_reported_and_the_end_says_that_nothing_runs(bundle: Bundle) -> None:
    reports: queue.Queue[EngineStats] = queue.Queue()
    host = GenerationHost(bundle, on_stats=reports.put)
    assert reports.get(timeout=PATIENCE_S).slots == 3  # before anything was asked
    box = Mailbox()
    for index in range(2):
        host.submit(index, request([1, 2, 3], max_tokens=6, temperature=0.0).to_json(), box)
    box.wait(2)
    host.close()
    found = [reports.get_nowait() for _ in range(reports.qsize())]
    assert sum(report.decode_tokens for report in found) == 2 * 5
    assert sum(report.prefill_tokens for report in found) == 2 * 3
    assert sum(report.ended.get("length", 0) for report in found) == 2
    assert (found[-1].running, found[-1].waiting, found[-1].slots) == (0, 0, 0)


def test_a_report_that_nobody_takes_hurts_no_request(bundle: Bundle) -> None:
    def broken(_: EngineStats) -> None:
        raise BrokenPipeError

    host = GenerationHost(bundle, on_stats=broken)
    box = Mailbox()
    host.submit(0, request([1, 2], max_tokens=5).to_json(), box)
    box.wait(1)
    host.close()
    assert box.reason(0) == "length"
