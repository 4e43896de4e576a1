"""What callers of texts wait for: pauses that a long prompt causes, a prompt seen before, the event loop.

The long prompt arrives while seven streams run; the longest pause of any of them stands beside their usual
gap. A prompt whose beginning was read before stands beside one that was not. The loop's lag is the server's
own measure, of its heartbeat ten times a second, while 16 streams are written and read.
"""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.graphs.language_model import PRECISIONS
from benchmarks.harness.compare import record
from benchmarks.harness.decoders import SLOTS, Decoders, served_decoders
from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.processes import Server, get
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.spread import median
from benchmarks.harness.streams import (
    Ask,
    Prompts,
    ask_together,
    longest_pause_ms,
    step_ms,
    write,
)
from service.bench.exchange import Exchange
from service.bench.loops import Timing

_STREAMS, _PROMPT, _ANSWER = 7, 16, 400  # given up when the long prompt has been read
_LONG_PROMPT, _AFTER = 400, 24
_SHARED, _OWN, _PAIRS = 200, 4, 3
_CACHED = 200  # whole blocks of 8 tokens
_LAG_PROMPT, _LAG_ANSWER = 32, 48
_LONGER, _LEAST_S = 4, 1.0
_SEED = 8
_LAG = re.compile(r'^slipway_event_loop_lag_seconds_bucket\{.*le="([^"]+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """Milliseconds; each thing measured fills in its own."""

    usual: float = 0.0
    pause: float = 0.0
    first: float = 0.0
    new: float = 0.0
    seen: float = 0.0
    lag_p99: float = 0.0


def _promises(kind: str) -> tuple[Promise, ...]:
    return (
        Promise(f"{kind}.usual", f"{kind}: between tokens of {_STREAMS} streams", "ms"),
        Promise(
            f"{kind}.pause", f"{kind}: longest pause while a prompt of {_LONG_PROMPT} arrives", "ms"
        ),
        Promise(f"{kind}.pauses", f"{kind}: longest pause ÷ usual gap", "×", at_most=8.0),
        Promise(f"{kind}.first", f"{kind}: first token of the long prompt", "ms"),
        Promise(f"{kind}.new", f"{kind}: first token of {_SHARED} + {_OWN} tokens, new", "ms"),
        Promise(f"{kind}.seen", f"{kind}: the same when {_SHARED} were read before", "ms"),
        Promise(f"{kind}.hit", f"{kind}: new ÷ seen", "×", at_least=5.0),
        Promise(
            f"{kind}.lag", f"{kind}: event loop's lag, 99th percentile, {SLOTS} streams", "ms",
            at_most=5.0,
        ),
    )  # fmt: skip


def _measure(bench: Bench, rows: Rows) -> None:
    seconds = max(_LEAST_S, bench.options.seconds * _LONGER)
    things: dict[str, Callable[[], Sample]] = {}
    with served_decoders(bench) as decoders:
        prompts = Prompts(decoders.size.vocabulary, _SEED)
        for kind in PRECISIONS:
            things[f"{kind}, long prompt"] = partial(_long_prompt, decoders, kind, prompts)
            things[f"{kind}, kept prompt"] = partial(_kept_prompt, decoders, kind, prompts)
            things[f"{kind}, loop"] = partial(_loop, decoders, kind, prompts, seconds)
        rounds = bench.alternate(things)
    bench.keep(rounds.samples)
    for kind in PRECISIONS:
        long, kept = f"{kind}, long prompt", f"{kind}, kept prompt"
        record(rows, f"{kind}.usual", rounds, long, lambda sample: sample.usual)
        record(rows, f"{kind}.pause", rounds, long, lambda sample: sample.pause)
        record(rows, f"{kind}.pauses", rounds, long, lambda sample: sample.pause / sample.usual)
        record(rows, f"{kind}.first", rounds, long, lambda sample: sample.first)
        record(rows, f"{kind}.new", rounds, kept, lambda sample: sample.new)
        record(rows, f"{kind}.seen", rounds, kept, lambda sample: sample.seen)
        record(rows, f"{kind}.hit", rounds, kept, lambda sample: sample.new / sample.seen)
        record(rows, f"{kind}.lag", rounds, f"{kind}, loop", lambda sample: sample.lag_p99)


def _long_prompt(decoders: Decoders, kind: str, prompts: Prompts) -> Sample:
    asks = [Ask(prompts.ids(_PROMPT), _ANSWER) for _ in range(_STREAMS)]
    asks.append(Ask(prompts.ids(_LONG_PROMPT), 2, after=_AFTER))
    *streams, late = ask_together(decoders.server, decoders.name(kind), asks, until_last=True)
    came = late.token_s[0]
    if any(each.is_ended and each.ended_s < came for each in streams):
        raise MeasurementFailed("the streams ended before the long prompt was read")
    return Sample(
        usual=step_ms(streams, until=late.sent_s),
        pause=longest_pause_ms(streams, late.sent_s, came),
        first=(came - late.sent_s) * 1e3,
    )


def _kept_prompt(decoders: Decoders, kind: str, prompts: Prompts) -> Sample:
    new: list[float] = []
    seen: list[float] = []
    for _ in range(_PAIRS):
        shared = prompts.ids(_SHARED)
        for waits, least_cached in ((new, 0), (seen, _CACHED)):
            ask = Ask([*shared, *prompts.ids(_OWN)], 2)
            [done] = ask_together(decoders.server, decoders.name(kind), [ask])
            if done.cached_tokens != least_cached:
                raise MeasurementFailed(
                    f"{done.cached_tokens} tokens were kept, not {least_cached}"
                )
            waits.append(_first_ms(done))
    return Sample(new=median(new), seen=median(seen))


def _first_ms(done: Exchange) -> float:
    return (done.token_s[0] - done.sent_s) * 1e3


def _loop(decoders: Decoders, kind: str, prompts: Prompts, seconds: float) -> Sample:
    asks = (Ask(prompts.ids(_LAG_PROMPT), _LAG_ANSWER) for _ in itertools.count())
    before = _lags(decoders.server)
    write(decoders.server, decoders.name(kind), SLOTS, asks, Timing(seconds))
    after = _lags(decoders.server)
    beats = {bound: after[bound] - before.get(bound, 0.0) for bound in after}
    return Sample(lag_p99=upper_bound(beats, 0.99) * 1e3)


def _lags(server: Server) -> dict[float, float]:
    """Upper bound in seconds → beats that were at most so late; of all front ends."""
    status, text = get(server.port, "/metrics")
    found: dict[float, float] = {}
    for bound, count in _LAG.findall(text.decode()):
        found[float(bound)] = found.get(float(bound), 0.0) + float(count)
    if status != 200 or not found:
        raise MeasurementFailed("the server does not say how late its event loop was")
    return found


def upper_bound(cumulative: dict[float, float], share: float) -> float:
    """The smallest bound that at least `share` of all stay within; NaN of nothing."""
    whole = cumulative.get(math.inf, 0.0)
    if not whole:
        return math.nan
    return min(bound for bound, count in cumulative.items() if count >= share * whole)


SCENARIO = Scenario(
    "generation-latency",
    "Text generation: what callers wait for",
    tuple(promise for kind in PRECISIONS for promise in _promises(kind)),
    _measure,
    needs_wrk=False,
)
