"""Each check's judgement, with a device that is none; those that can run on the CPU do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu_check import one
from benchmarks.gpu_check.bare import BareSession, Subject, Way
from benchmarks.gpu_check.checks import (
    CHECKS,
    exhaustion,
    generation,
    graphs,
    memory,
    mixed,
    parity,
    precision,
    throughput,
)
from benchmarks.gpu_check.repository import SMALL, NoBundles, bundles_of, prepared
from benchmarks.gpu_check.result import Result
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.graphs.encoders import OUTPUT, SIZES, publish_encoder, texts
from benchmarks.graphs.mlp import publish_mlp
from benchmarks.harness.failures import MeasurementFailed, NotAvailable
from models.bundle import Bundle
from models.golden import Golden
from models.manifest import Variant
from models.runtimes.base import SessionInfo, SessionOptions
from models.runtimes.graph import Graph
from service.workers.base import LoadReport
from tests.service import graphs as tiny

CUDA = "CUDAExecutionProvider"


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    (tmp_path / "own").mkdir()
    return Workplace(tmp_path / "own", tmp_path / "repository", ("cpu",), limit_s=300, cores=2)


@pytest.fixture
def bundle(workplace: Workplace, tmp_path: Path) -> Bundle:
    return tiny.doubler().publish(workplace.repository, "double", tmp_path)


# -- parity ----------------------------------------------------------------------------------------


def test_an_exam_that_is_passed_where_it_was_asked_for_passes(
    workplace: Workplace, bundle: Bundle
) -> None:
    [result] = parity.run(workplace)
    assert (result.what, result.verdict, result.figure) == (
        f"{bundle.name}/1 on cpu",
        "passed",
        0.0,
    )


def test_an_exam_that_is_failed_is_named_with_its_reason(
    workplace: Workplace, tmp_path: Path
) -> None:
    wrong = Golden({"x": np.ones((1, 4), np.float32)}, {"y": np.full((1, 4), 3, np.float32)})
    tiny.doubler().publish(workplace.repository, "wrong", tmp_path, golden=wrong)
    [result] = parity.run(workplace)
    assert result.verdict == "failed"
    assert result.detail.startswith("exam: ")


def test_a_missing_provider_fails_and_the_other_checks_go_on(
    workplace: Workplace, bundle: Bundle
) -> None:
    both = replace(workplace, providers=("cuda", "cpu"))
    found = list(parity.run(both))
    assert [result.verdict for result in found] == ["failed", "passed"]
    assert "provider_missing" in found[0].detail


@pytest.mark.parametrize(
    ("report", "verdict", "says"),
    [
        (LoadReport(1.0, 2e-5, CUDA, 1), "passed", "loaded in 1.0 s"),
        (LoadReport(1.0, 2e-5, "CPUExecutionProvider", 1), "failed", "it ran on CPUExecution"),
        (LoadReport(1.0, None, CUDA, 1), "not run", "no exam"),
    ],
    ids=["passed", "on the CPU after all", "no exam"],
)
def test_only_the_wanted_providers_exam_counts(
    report: LoadReport, verdict: str, says: str, bundle: Bundle
) -> None:
    result = parity.judge("m", bundle, "cuda", report)
    assert result.verdict == verdict
    assert says in result.detail


def test_bundles_beyond_the_time_are_named(workplace: Workplace, bundle: Bundle) -> None:
    late = replace(workplace, limit_s=0.0)
    [result] = parity.run(late)
    assert (result.verdict, result.detail) == ("not run", "the time was over")
    assert bundle.name in result.what


# -- captured graphs -------------------------------------------------------------------------------


class Half:
    """A session that answers after `ms`, `off` by a little, and says what it has captured."""

    def __init__(self, clock: "Ticks", ms: float, off: float, says: str) -> None:
        self.clock, self.ms, self.off, self.says = clock, ms, off, says
        self.is_closed = False

    def describe(self) -> SessionInfo:
        return SessionInfo("onnxruntime", CUDA, 1, {"cuda_graphs": self.says})

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        self.clock.now += self.ms / 1e3
        return {"y": 2 * inputs["x"] + self.off}

    def close(self) -> None:
        self.is_closed = True


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def compared(captured_ms: float, off: float = 0.0, says: str = "batches of 1, 8") -> list[Result]:
    clock = Ticks()
    made = {False: Half(clock, 4.0, 0.0, ""), True: Half(clock, captured_ms, off, says)}
    opened: Any = made.__getitem__
    found = list(graphs.compared("deep", opened, clock, runs=5))
    assert says != "batches of 1, 8" or all(session.is_closed for session in made.values())
    return found


def test_replays_must_agree_and_pay() -> None:
    good = compared(1.0)
    assert [result.verdict for result in good] == ["passed"] * 6
    assert good[1].figure == pytest.approx(4.0)
    assert [result.verdict for result in compared(8.0)] == ["passed", "failed"] * 3
    assert [result.verdict for result in compared(1.0, off=0.1)] == ["failed", "passed"] * 3


def test_a_session_that_captures_nothing_is_not_compared() -> None:
    [result] = compared(1.0, says="none can be captured")
    assert result.verdict == "not run"


# -- memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("during", "after", "verdict"),
    [(900, 420, "passed"), (900, 400, "passed"), (900, 700, "failed"), (400, 400, "failed")],
    ids=["rounding", "all", "kept", "nothing was taken"],
)
def test_memory_must_be_taken_and_given_back(during: int, after: int, verdict: str) -> None:
    result = memory.judge("session", 400 << 20, during << 20, after << 20)
    assert result.verdict == verdict
    assert "400 MiB before" in result.detail


@pytest.mark.slow
def test_the_session_check_closes_what_it_opens(workplace: Workplace) -> None:
    """On the CPU: the driver's figures are ours, the sessions are real."""
    figures = iter([10 << 20, 500 << 20, 12 << 20])
    counted = replace(workplace, used_bytes=lambda _: next(figures))
    memory.publish_resnet(workplace.folder / "repository", workplace.folder / "s", 50, 32)
    publish_mlp(workplace.folder / "repository", workplace.folder / "m")
    result = memory.closed(counted)
    assert (result.verdict, result.figure) == ("passed", 2.0)


# -- out of memory ---------------------------------------------------------------------------------


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


# -- CPU and GPU in one server ---------------------------------------------------------------------


def test_the_metrics_say_where_each_model_computes() -> None:
    text = (
        'slipway_session_info{model="on-gpu",version="1",requested_provider="cuda",'
        'active_provider="cuda",threads="2"} 1\n'
        'slipway_session_info{model="on-cpu",version="1",requested_provider="cpu",'
        'active_provider="cpu",threads="2"} 1\nslipway_other 3\n'
    )
    assert mixed.providers_of(text) == {"on-gpu": "cuda", "on-cpu": "cpu"}


# -- text ------------------------------------------------------------------------------------------


def wrote(tokens: list[int]) -> generation.Written:
    return generation.Written(LoadReport(1.0, 0.0, CUDA, 1), tokens, {1: 100.0, 8: 500.0})


def test_words_are_compared_up_to_the_first_that_differs() -> None:
    assert generation.equal_share(wrote([1, 2, 3, 4]), wrote([1, 2, 9, 4])) == 0.5
    assert generation.equal_share(wrote([1, 2]), wrote([1, 2])) == 1.0


def test_a_text_models_results_name_exam_words_speed_and_what_is_not_built(
    workplace: Workplace, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by(_: Bundle, provider: str, __: int) -> generation.Written:
        return wrote([1, 2, 3] if provider == "cpu" else [1, 2, 4])

    monkeypatch.setattr(generation.Written, "by", by)
    cuda = replace(workplace, providers=("tensorrt", "cuda"))
    found = list(generation.compared(bundle, cuda))
    assert [result.verdict for result in found] == ["passed", "failed", "measured", "measured"]
    assert [result.figure for result in found[2:]] == [100.0, 500.0]


def test_without_a_text_model_the_check_says_so(workplace: Workplace, bundle: Bundle) -> None:
    assert bundle
    with pytest.raises(NotAvailable, match="no model that writes text"):
        list(generation.run(workplace))


def test_what_is_not_built_is_said(workplace: Workplace) -> None:
    assert workplace
    assert generation.NO_GRAPHS.startswith("not built: ")


# -- 16 bits ---------------------------------------------------------------------------------------


def test_a_kept_variant_passes_and_a_dropped_one_is_no_failure() -> None:
    variant = Variant(
        precision="fp16",
        provider="cuda",
        size_bytes=3 << 20,
        accuracy_delta=-0.002,
        max_difference=0.1,
        hardware="an H200",
    )
    kept = precision.kept("digits", [variant])
    assert (kept.verdict, kept.figure) == ("passed", -0.002)
    assert "an H200" in kept.detail
    assert precision.kept("digits", []).verdict == "measured"


def test_a_repository_without_the_small_models_cannot_be_judged(
    workplace: Workplace, bundle: Bundle
) -> None:
    assert bundle
    with pytest.raises(NotAvailable, match="has none of digits, language-id"):
        list(precision.run(workplace))


# -- throughput ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("served", "verdict"), [([95.0, 185.0], "passed"), ([80.0, 165.0], "failed")]
)
def test_throughput_is_a_share_of_the_bare_loops_round_by_round(
    served: list[float], verdict: str
) -> None:
    result = throughput.judge("m", served, [100.0, 200.0], Way(32, 2), "64 connections")
    assert result.verdict == verdict
    assert result.figure == pytest.approx(
        sum(s / a for s, a in zip(served, [100, 200], strict=True)) / 2
    )
    assert "batches of 32, 2 threads" in result.detail


def test_the_bare_session_is_asked_in_the_way_that_is_fastest(workplace: Workplace) -> None:
    publish_mlp(workplace.folder / "repository", workplace.folder / "staged")
    [made] = bundles_of(workplace.folder / "repository")
    bare = BareSession(Graph.of(made), SessionOptions())
    subject = Subject("mlp", 4, {"x": np.ones((1, 128), np.float32)}, "y")
    assert bare.run(subject.batch(3))["y"].shape == (3, 10)
    assert bare.rate(subject, Way(8, 2), 0.05) > 0


def test_a_random_encoder_reads_texts_of_any_length_and_minds_the_mask(
    workplace: Workplace,
) -> None:
    size = SIZES["tiny-encoder"]
    publish_encoder(workplace.folder / "repository", workplace.folder / "staged", size)
    [made] = bundles_of(workplace.folder / "repository")
    bare = BareSession(Graph.of(made), SessionOptions())
    short = texts(size, 2, 5)
    found = bare.run(short)[OUTPUT]
    assert found.shape == (2, size.width)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    padded = {name: np.pad(array, ((0, 0), (0, 4))) for name, array in short.items()}
    np.testing.assert_allclose(bare.run(padded)[OUTPUT], found, atol=1e-5)


# -- one check in its process ----------------------------------------------------------------------


@contextmanager
def instead(patch: pytest.MonkeyPatch, function: Any) -> Iterator[StringIO]:
    patch.setattr(type(CHECKS["parity"]), "load", lambda _: function)
    yield StringIO()


ARGUMENTS = "parity --folder /f --repository /r --provider cuda --device 0 --limit-s 5 --seconds 1 --cores 2"


@pytest.mark.parametrize(
    ("raised", "verdict", "says"),
    [
        (NotAvailable("no text model"), "not run", "no text model"),
        (MeasurementFailed("no answer"), "failed", "no answer"),
        (ZeroDivisionError("x"), "failed", "ZeroDivisionError: x"),
    ],
)
def test_what_a_check_raises_is_its_last_result(
    raised: Exception, verdict: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function(workplace: Workplace) -> Iterator[Result]:
        assert workplace.providers == ("cuda",)
        yield Result("first", "passed")
        raise raised

    with instead(monkeypatch, function) as out:
        assert one.main(ARGUMENTS.split(), out) == 0
    first, last = (json.loads(line) for line in out.getvalue().splitlines())
    assert first["verdict"] == "passed"
    assert (last["verdict"], last["detail"]) == (verdict, says)


def test_what_libraries_print_is_no_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def function(_: Workplace) -> Iterator[Result]:
        print("a banner")
        yield Result("only", "passed")

    with instead(monkeypatch, function) as out:
        one.main(ARGUMENTS.split(), out)
    assert len(out.getvalue().splitlines()) == 1
    assert "a banner" in capsys.readouterr().err


# -- bundles ---------------------------------------------------------------------------------------


def test_what_is_published_is_checked_as_it_is(workplace: Workplace, tmp_path: Path) -> None:
    for _ in range(2):
        tiny.doubler().publish(workplace.repository, "m", tmp_path)
    repository, found = prepared(workplace.repository, tmp_path / "spare", train=pytest.fail)
    assert repository == workplace.repository
    assert [(one.name, one.version) for one in found] == [("m", 2)]


def test_an_empty_repository_is_filled_by_training(tmp_path: Path) -> None:
    trained: list[str] = []

    def train(recipe: str, repository: Path) -> str:
        trained.append(recipe)
        if recipe == "digits":
            tiny.doubler().publish(repository, recipe, tmp_path)
        return "" if recipe == "digits" else "no data"

    spare, found = prepared(tmp_path / "empty", tmp_path / "spare", train=train)
    assert trained == list(SMALL)
    assert spare == tmp_path / "spare"
    assert [one.name for one in found] == ["digits"]


def test_nothing_to_check_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoBundles, match="digits: no space"):
        prepared(tmp_path / "empty", tmp_path / "spare", train=lambda *_: "no space")
    monkeypatch.setattr("benchmarks.gpu_check.repository.find_spec", lambda _: None)
    with pytest.raises(NoBundles, match=r"--repository.*install \.\[train\]"):
        prepared(tmp_path / "empty", tmp_path / "spare")
