"""What a token costs beyond the arithmetic: the bare decode step beside memory, the served beside the bare.

At batch 1 a step reads every weight once, so that memory bounds it. At 16 rows the gap between two tokens of
a stream, over HTTP with the engine, the front end and 16 readers around it, stands beside the bare step.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks.graphs.language_model import PRECISIONS, weight_bytes_per_step
from benchmarks.harness.compare import record
from benchmarks.harness.decoders import SLOTS, Decoders, served_decoders
from benchmarks.harness.orders import Ordered, ordered
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.spread import divided
from benchmarks.harness.streams import Ask, Prompts, ask_together, step_ms

_PROMPT, _ANSWER = 16, 96
_PAST, _STEPS = 40, 48  # the middle of what the streams go through together
_SEED = 6


@dataclass(frozen=True)
class Step:
    """`read_gb_per_s` of a bare step's moment, `front_us` of a served one: processor time per token."""

    step_ms: float
    read_gb_per_s: float = 0.0
    front_us: float = 0.0


def _promises(kind: str) -> tuple[Promise, ...]:
    bound = 0.7 if kind == "fp32" else None  # unpacking int4 takes longer than reading it
    return (
        Promise(f"{kind}.bare.1", f"{kind}: bare decode step, 1 row", "ms"),
        Promise(f"{kind}.bound", f"{kind}: reading the weights once", "ms"),
        Promise(f"{kind}.of_bound", f"{kind}: reading ÷ bare step, 1 row", "×", at_least=bound),
        Promise(f"{kind}.bare.{SLOTS}", f"{kind}: bare decode step, {SLOTS} rows", "ms"),
        Promise(f"{kind}.served", f"{kind}: between tokens of {SLOTS} streams", "ms"),
        Promise(
            f"{kind}.overhead",
            f"{kind}: beyond the bare step, as a share of it, {SLOTS} streams",
            "%",
            at_most=3.0,
        ),
        Promise(f"{kind}.front_us", f"{kind}: front end's processor time", "µs/token"),
    )


def _measure(bench: Bench, rows: Rows) -> None:
    things: dict[str, Callable[[], Step]] = {}
    with ExitStack() as stack:
        decoders = stack.enter_context(served_decoders(bench))
        prompts = Prompts(decoders.size.vocabulary, _SEED)
        for kind, model in decoders.models.items():
            child = stack.enter_context(
                ordered(
                    "benchmarks.baselines.bare_decoder",
                    model,
                    decoders.threads,
                    decoders.size.context,
                )
            )
            for count in (1, SLOTS):
                things[f"{kind}, bare @ {count}"] = partial(_bare, child, count)
            things[f"{kind}, served @ {SLOTS}"] = partial(_served, decoders, kind, prompts)
        rounds = bench.alternate(things)
    bench.keep(rounds.samples)
    for kind in PRECISIONS:
        _record(rows, rounds, kind, weight_bytes_per_step(decoders.models[kind]))


def _record(rows: Rows, rounds: Rounds[Step], kind: str, weights_bytes: int) -> None:
    alone, bare, served = (
        f"{kind}, bare @ 1",
        f"{kind}, bare @ {SLOTS}",
        f"{kind}, served @ {SLOTS}",
    )
    record(rows, f"{kind}.bare.1", rounds, alone, lambda sample: sample.step_ms)
    record(rows, f"{kind}.bare.{SLOTS}", rounds, bare, lambda sample: sample.step_ms)
    record(rows, f"{kind}.served", rounds, served, lambda sample: sample.step_ms)
    record(rows, f"{kind}.front_us", rounds, served, lambda sample: sample.front_us)
    if alone not in rounds.failures:
        reading = rounds.of(alone, lambda sample: weights_bytes / sample.read_gb_per_s / 1e6)
        rows.record(f"{kind}.bound", reading)
        steps = rounds.of(alone, lambda sample: sample.step_ms)
        rows.record(f"{kind}.of_bound", divided(reading, steps))
    failed = rounds.failures.get(bare) or rounds.failures.get(served)
    if failed:
        rows.give_up(f"not available: {failed}", f"{kind}.overhead")
        return
    both = [rounds.of(name, lambda sample: sample.step_ms) for name in (served, bare)]
    rows.record(f"{kind}.overhead", [(ratio - 1) * 100 for ratio in divided(*both)])


def _bare(child: Ordered, count: int) -> Step:
    return Step(**child.run({"rows": count, "past": _PAST, "steps": _STEPS}))


def _served(decoders: Decoders, kind: str, prompts: Prompts) -> Step:
    asks = [Ask(prompts.ids(_PROMPT), _ANSWER) for _ in range(SLOTS)]
    before = decoders.server.cpu()
    streams = ask_together(decoders.server, decoders.name(kind), asks)
    after = decoders.server.cpu()
    return Step(step_ms(streams), front_us=(after.main_s - before.main_s) / (_ANSWER * SLOTS) * 1e6)


SCENARIO = Scenario(
    "generation-step",
    "Text generation: one token beside the bare step",
    tuple(promise for kind in PRECISIONS for promise in _promises(kind)),
    _measure,
    needs_wrk=False,
)
