"""Trials on real servers under real load, and the whole command."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.runtimes.hardware import fingerprint
from service.bench.figures import Figures, Spread
from service.selection.choice import Choice
from service.tuning.plan import plan_file, read_plan
from service.tuning.questions import questions_of
from service.tuning.space import Setting, Shape
from service.tuning.trial import Trial, measured_load, planned
from tests.service import graphs
from tests.service.tuning.settings import BF16, setting
from tests.service.tuning.test_plan import plan_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return graphs.mlp(16, 8).publish(tmp_path / "repository", "mlp", tmp_path)


def trial(bundle: Bundle) -> Trial:
    template = plan_of(bundle, hardware=fingerprint())
    return Trial(bundle, questions_of(bundle, []), (1, 4), template)


def figures(**changes: object) -> Figures:
    none = Spread(math.nan, math.nan, math.nan)
    members: dict[str, object] = {
        "seconds": 2.0,
        "asked": 10,
        "requests": 8,
        "requests_per_s": 4.0,
        "output_tokens_per_s": 0.0,
        "prompt_tokens_per_s": 0.0,
        "prompt_tokens": 0.0,
        "cached_tokens": 0.0,
        "time_to_first_token": none,
        "between_tokens": none,
        "whole_answer": Spread(1.5, 2.5, 3.5),
        "late": none,
    }
    return Figures(**members | changes)  # type: ignore[arg-type]


def test_a_plan_takes_everything_of_a_setting(bundle: Bundle) -> None:
    of = Setting(BF16, Shape(3, 4), 16, 2000, (8, 16))
    plan = planned(plan_of(bundle), of)
    assert (plan.choice, plan.workers, plan.threads) == (BF16, 3, 4)
    assert (plan.max_batch_size, plan.max_queue_delay_microseconds) == (16, 2000)
    assert plan.length_buckets == (8, 16)


def test_figures_become_a_load() -> None:
    found = measured_load(8, figures(errors={"503 overloaded": 2}), 7)
    assert (found.concurrency, found.requests_per_s, found.p99_ms) == (8, 4.0, 3.5)
    assert found.error_share == 0.2
    assert found.memory_bytes == 7


def test_where_nobody_was_answered_there_is_no_percentile() -> None:
    nothing = Spread(math.nan, math.nan, math.nan)
    silent = figures(requests=0, requests_per_s=0.0, whole_answer=nothing, errors={"refused": 3})
    found = measured_load(1, silent, 0)
    assert (found.p50_ms, found.p99_ms, found.error_share) == (None, None, 1.0)


@pytest.mark.slow
def test_a_real_server_is_loaded_and_ended(bundle: Bundle) -> None:
    outcome = trial(bundle)(setting(batch=4), 0.3)
    assert outcome.failure == ""
    assert [load.concurrency for load in outcome.loads] == [1, 4]
    for load in outcome.loads:
        assert load.requests_per_s > 0
        assert load.error_share == 0
        assert load.p50_ms is not None
        assert load.memory_bytes > 10 << 20
    assert plan_file(bundle).exists() is False


@pytest.mark.slow
def test_a_choice_that_the_server_does_not_take_is_a_failure_in_words(bundle: Bundle) -> None:
    """A precision that the version does not have: the server serves another, and says so."""
    of = setting(Choice(precision="int8-static"))
    outcome = trial(bundle)(of, 0.3)
    assert outcome.loads == ()
    assert outcome.failure == "the server chose onnxruntime fp32 instead of onnxruntime int8-static"


@pytest.mark.slow
def test_the_whole_command_writes_a_plan_that_the_next_server_obeys(bundle: Bundle) -> None:
    repository = str(bundle.path.parent.parent)
    order = [sys.executable, "-m", "slipway", "tune", "mlp", "--repository", repository]
    done = subprocess.run(
        [*order, "--time-s", "25", "--concurrency", "4", "--runtime", "onnxruntime"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    plan = read_plan(bundle)
    assert plan is not None
    assert "→" in done.stdout
    assert f"written to {plan_file(bundle)}" in done.stdout
    assert plan.measured[0].requests_per_s > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "inherited"),
    [
        pytest.param(signal.SIGINT, signal.SIG_DFL, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, signal.SIG_DFL, id="SIGTERM"),
        pytest.param(signal.SIGTERM, signal.SIG_IGN, id="SIGTERM in the background"),
    ],
)
def test_an_interrupted_command_writes_nothing_and_leaves_no_server(
    bundle: Bundle, number: signal.Signals, inherited: signal.Handlers
) -> None:
    """`inherited`: what the command finds for Ctrl-C; a script's `&` has it ignored."""
    repository = str(bundle.path.parent.parent)
    order = [sys.executable, "-m", "slipway", "tune", "mlp", "--repository", repository]
    with subprocess.Popen(
        [*order, "--time-s", "60", "--concurrency", "2", "--runtime", "onnxruntime"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, inherited),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:  # the second trial has begun: the first has figures
            if line.startswith("[") and "[  0%]" not in line:
                break
        servers = _children(process.pid)
        rest = threading.Thread(target=process.stderr.read)
        rest.start()
        process.send_signal(number)
        assert process.stdout is not None
        printed = process.stdout.read()
        assert process.wait(60) == 130
        rest.join()
    assert "interrupted; the best so far, not written: onnxruntime fp32" in printed
    assert [path.name for path in bundle.path.parent.iterdir() if "tuning" in path.name] == []
    limit = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in servers):
        assert time.monotonic() < limit, "a server was left behind"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    from service.tuning.server import family

    return family(pid)[1:]
