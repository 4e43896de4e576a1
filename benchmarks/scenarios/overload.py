"""More requests than the server can answer: does it keep answering as many as it can, in time?

The capacity is found in a closed loop; then requests arrive at random, at shares of that capacity.
"Peak" is the highest rate of good answers that a round saw in any of these; "p99 at capacity" is that of
the answers when as many arrive as the server can just do, without any deadline.
"""

from collections.abc import Callable
from functools import partial

from benchmarks.graphs.convolutions import NAME, convolutions_input, publish_convolutions
from benchmarks.harness.answers import check
from benchmarks.harness.bare import session_answer
from benchmarks.harness.closed_loop import ClosedLoopResult, closed_loop
from benchmarks.harness.compare import record
from benchmarks.harness.messages import Message, binary_message
from benchmarks.harness.open_loop import OpenLoopResult, open_loop
from benchmarks.harness.processes import Server, slipway
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.spread import divided, median
from models.manifest import MODEL_FILE

_PATH = f"/v2/models/{NAME}/infer"
_DURATION_MS = 5.0
_CONNECTIONS = 16
_TRIALS = 3
_SHARES = (0.5, 1.0, 2.0, 3.0)
_PATIENCE_MS = 250
_WARM_S = 1.0  # admission measures before it refuses well

_CLOSED, _IMPATIENT = "closed loop", f"3× with a deadline of {_PATIENCE_MS} ms"
Result = ClosedLoopResult | OpenLoopResult


def _at(share: float) -> str:
    return f"{share:g}× capacity"


def _promises() -> tuple[Promise, ...]:
    rows = [
        Promise("capacity", f"capacity: closed loop, {_CONNECTIONS} connections", "requests/s"),
        Promise("closed.p99", f"99th percentile in the closed loop, {_CONNECTIONS} connections", "ms"),
    ]  # fmt: skip
    for share in _SHARES:
        rows += [
            Promise(f"{share:g}.goodput", f"good answers at {_at(share)}", "answers/s"),
            Promise(f"{share:g}.p99", f"99th percentile of good answers at {_at(share)}", "ms"),
            Promise(f"{share:g}.refused", f"refused at {_at(share)}", "share"),
        ]
    return (
        *rows,
        Promise("goodput_kept", "good answers at 3× ÷ peak", "×", at_least=0.9),
        Promise("p99_kept", "99th percentile at 3× ÷ at 1× capacity", "×", at_most=2),
        Promise("refusal.p99", "99th percentile until a refusal, at 3×", "ms"),
        Promise("refusal.bare", "refusals without Retry-After, at 3×", "refusals", at_most=0),
        Promise("refusal.retry_after", "median Retry-After at 3×", "s"),
        Promise("lost", "requests without any answer, at all rates", "requests", at_most=0),
        Promise("impatient.goodput", f"good answers at {_IMPATIENT}", "answers/s"),
        Promise("impatient.p99", f"99th percentile of good answers at {_IMPATIENT}", "ms"),
        Promise("generator.late", "99th percentile of the generator's own delay, at 3×", "ms"),
    )


def _measure(bench: Bench, rows: Rows) -> None:
    repository = bench.folder / "repository"
    layers = publish_convolutions(repository, bench.folder / "staged", _DURATION_MS)
    bench.facts["overload, model"] = (
        f"{layers} convolutions, made to take about {_DURATION_MS:g} ms"
    )
    inputs = {"x": convolutions_input()}
    message = binary_message(inputs, ["y"])
    expected = session_answer(repository / NAME / "1" / MODEL_FILE, inputs)
    with slipway(bench.options.checkout, repository) as server:
        check(server.port, _PATH, message, expected)
        bench.progress.doing("looking for the capacity")
        capacity = median([_closed(bench, server, message).rate for _ in range(_TRIALS)])
        bench.facts["overload, capacity that the shares refer to"] = f"{capacity:.0f} requests/s"
        rounds: Rounds[Result] = bench.alternate(
            {
                _CLOSED: partial(_closed, bench, server, message),
                **_loads(bench, server, message, capacity),
            }
        )
    bench.keep(rounds.samples)
    _judge(rows, *_apart(rounds))


def _apart(rounds: Rounds[Result]) -> tuple[Rounds[ClosedLoopResult], Rounds[OpenLoopResult]]:
    closed: Rounds[ClosedLoopResult] = Rounds({}, rounds.failures)
    opened: Rounds[OpenLoopResult] = Rounds({}, rounds.failures)
    for name, samples in rounds.samples.items():
        closed.samples[name] = [one for one in samples if isinstance(one, ClosedLoopResult)]
        opened.samples[name] = [one for one in samples if isinstance(one, OpenLoopResult)]
    return closed, opened


def _loads(
    bench: Bench, server: Server, message: Message, capacity: float
) -> dict[str, Callable[[], OpenLoopResult]]:
    patient = message.http(_PATH)
    impatient = message.http(_PATH, x_request_timeout_ms=str(_PATIENCE_MS))
    seconds = bench.options.seconds
    warm_s = _warm_s(bench)

    def at(share: float, request: bytes, seed: int) -> Callable[[], OpenLoopResult]:
        return partial(open_loop, server.port, request, capacity * share, seconds, warm_s, seed)

    return {
        **{_at(share): at(share, patient, seed) for seed, share in enumerate(_SHARES)},
        _IMPATIENT: at(max(_SHARES), impatient, len(_SHARES)),
    }


def _warm_s(bench: Bench) -> float:
    return min(_WARM_S, bench.options.seconds)


def _closed(bench: Bench, server: Server, message: Message) -> ClosedLoopResult:
    request = message.http(_PATH)
    return closed_loop(
        server.port, [request], _CONNECTIONS, bench.options.seconds, _warm_s(bench) / 2
    )


def _judge(rows: Rows, closed: Rounds[ClosedLoopResult], rounds: Rounds[OpenLoopResult]) -> None:
    record(rows, "capacity", closed, _CLOSED, lambda sample: sample.rate)
    record(rows, "closed.p99", closed, _CLOSED, lambda sample: sample.p99_ms)
    for share in _SHARES:
        record(rows, f"{share:g}.goodput", rounds, _at(share), lambda sample: sample.goodput)
        record(rows, f"{share:g}.p99", rounds, _at(share), lambda sample: sample.p99_ms)
        record(rows, f"{share:g}.refused", rounds, _at(share), lambda sample: sample.refused_share)
    most = _at(max(_SHARES))
    good = rounds.of(most, lambda sample: sample.goodput)
    rates = [rounds.of(_at(share), lambda sample: sample.goodput) for share in _SHARES]
    rates.append(closed.of(_CLOSED, lambda sample: sample.rate))
    rows.record("goodput_kept", divided(good, [max(seen) for seen in zip(*rates, strict=False)]))
    p99s = [rounds.of(name, lambda sample: sample.p99_ms) for name in (most, _at(1.0))]
    rows.record("p99_kept", divided(*p99s))
    record(rows, "refusal.p99", rounds, most, lambda sample: sample.refused_p99_ms)
    record(rows, "refusal.bare", rounds, most, lambda sample: sample.refused_without_retry_after)
    record(rows, "refusal.retry_after", rounds, most, lambda sample: sample.retry_after_s)
    everything = [sample for samples in rounds.samples.values() for sample in samples]
    if everything:
        rows.record("lost", [float(sum(sample.lost for sample in everything))])
    record(rows, "impatient.goodput", rounds, _IMPATIENT, lambda sample: sample.goodput)
    record(rows, "impatient.p99", rounds, _IMPATIENT, lambda sample: sample.p99_ms)
    record(rows, "generator.late", rounds, most, lambda sample: sample.late_p99_ms)


SCENARIO = Scenario(
    "overload", "Overload: a model of about 5 ms, open loop", _promises(), _measure, False
)
