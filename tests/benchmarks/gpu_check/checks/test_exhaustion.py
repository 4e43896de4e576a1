"""A batch beyond memory must fail alone, a model beyond its limit be refused for that."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.gpu_check.checks import exhaustion
from benchmarks.gpu_check.workplace import Workplace
from models.bundle import Bundle
from models.runtimes.graph import Graph


class Answers:
    """A server that answers by rows."""

    def __init__(self, large: tuple[int, bytes], restarts: int = 0) -> None:
        self.large, self.restarts = large, restarts
        self.port = 0

    def request(self, *given: Any, **_: Any) -> tuple[int, bytes]:
        if len(given[3]) > 10_000_000:
            return self.large
        return 200, b"{}"

    def get(self, *_: Any) -> tuple[int, bytes]:
        text = f'slipway_worker_restarts_total{{reason="exit"}} {self.restarts}\nother 4\n'
        return 200, text.encode()


@pytest.mark.parametrize(
    ("large", "restarts", "verdicts"),
    [
        ((503, b'{"code":"out_of_memory"}'), 0, ["passed"] * 4),
        ((200, b""), 0, ["passed", "failed", "passed", "passed"]),
        ((503, b'{"code":"queue_full"}'), 0, ["passed", "failed", "passed", "passed"]),
        ((503, b'{"code":"out_of_memory"}'), 2, ["passed", "passed", "passed", "failed"]),
    ],
    ids=["as it should", "it fitted", "another refusal", "a worker was replaced"],
)
def test_a_batch_beyond_memory_must_fail_alone(
    large: tuple[int, bytes], restarts: int, verdicts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server: Any = Answers(large, restarts)
    monkeypatch.setattr(exhaustion, "request", server.request)
    monkeypatch.setattr(exhaustion, "get", server.get)
    assert [result.verdict for result in exhaustion.survived(server)] == verdicts


def test_a_model_beyond_its_limit_must_be_refused_for_that(
    workplace: Workplace, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = Graph.of(bundle)
    assert exhaustion.refused(workplace, graph).detail == "it was opened", "the limit is the GPU's"
    absent = exhaustion.refused(replace(workplace, providers=("cuda",)), graph)
    assert absent.verdict == "failed"
    assert "provider_missing" in absent.detail
    have = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: have)
    told = exhaustion.refused(replace(workplace, providers=("cuda",)), graph)
    assert told.verdict == "passed"
    assert "may have on the GPU" in told.detail
