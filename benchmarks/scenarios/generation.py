"""Writing text for eight callers at once, beside one at a time and beside onnxruntime-genai.

All take the same weights, threads and lengths, greedily. The server is asked over HTTP; genai is called in a
process of its own, without a server: its Generator one request after the other, its Engine with eight
callers who come when they come.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

from benchmarks.graphs.genai_folder import genai_folder
from benchmarks.graphs.language_model import PRECISIONS
from benchmarks.harness.compare import record, record_share
from benchmarks.harness.decoders import Decoders, served_decoders
from benchmarks.harness.orders import Ordered, ordered
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.streams import Ask, Prompts, write
from service.bench.loops import Timing

_PROMPT_TOKENS, _ANSWER_TOKENS = (16, 100), (16, 48)
_LENGTHS, _SEED = 64, 5
_CALLERS = 8
_LONGER, _LEAST_S, _WARM_SHARE = 4, 1.0, 0.25
_GAIN = {"fp32": 3.0, "int4": 1.6}  # int4 steps are bound by arithmetic sooner
_GENAI = "onnxruntime_genai"


@dataclass(frozen=True)
class Speed:
    """`rate`: answer tokens per second; processor time per token where a server wrote them."""

    rate: float
    front_us: float = 0.0
    worker_us: float = 0.0


def _promises(kind: str) -> tuple[Promise, ...]:
    return (
        Promise(f"{kind}.alone", f"{kind}: one at a time", "tokens/s"),
        Promise(f"{kind}.many", f"{kind}: {_CALLERS} callers", "tokens/s"),
        Promise(
            f"{kind}.gain", f"{kind}: {_CALLERS} callers ÷ one at a time", "×", at_least=_GAIN[kind]
        ),
        Promise(f"{kind}.front_us", f"{kind}: front end's processor time", "µs/token"),
        Promise(f"{kind}.genai.alone", f"{kind}: genai's Generator, one at a time", "tokens/s"),
        Promise(
            f"{kind}.genai.of_alone",
            f"{kind}: one at a time ÷ genai's Generator",
            "×",
            at_least=1.0,
        ),
        Promise(f"{kind}.genai.many", f"{kind}: genai's Engine, {_CALLERS} callers", "tokens/s"),
        Promise(
            f"{kind}.genai.of_many",
            f"{kind}: {_CALLERS} callers ÷ genai's Engine",
            "×",
            at_least=1.3,
        ),
    )


def _measure(bench: Bench, rows: Rows) -> None:
    timing = Timing(
        max(_LEAST_S, bench.options.seconds * _LONGER),
        max(_LEAST_S, bench.options.seconds * _LONGER) * _WARM_SHARE,
    )
    with ExitStack() as stack:
        decoders = stack.enter_context(served_decoders(bench))
        things = _served(decoders, timing)
        if find_spec(_GENAI) is None:
            for kind in PRECISIONS:
                rows.give_up("not available: onnxruntime-genai is not installed", f"{kind}.genai")
        else:
            things |= _genai(decoders, timing, bench, stack)
        rounds = bench.alternate(things)
    bench.keep(rounds.samples)
    for kind in PRECISIONS:
        _record(rows, rounds, kind, has_genai=find_spec(_GENAI) is not None)


def _record(rows: Rows, rounds: Rounds[Speed], kind: str, *, has_genai: bool) -> None:
    alone, many = f"{kind} @ 1", f"{kind} @ {_CALLERS}"
    record(rows, f"{kind}.alone", rounds, alone, lambda sample: sample.rate)
    record(rows, f"{kind}.many", rounds, many, lambda sample: sample.rate)
    record_share(rows, f"{kind}.gain", rounds, (many, alone), lambda sample: sample.rate)
    record(rows, f"{kind}.front_us", rounds, many, lambda sample: sample.front_us)
    if not has_genai:
        return
    for name, ours in (("alone", alone), ("many", many)):
        theirs = f"{ours}, genai"
        record(rows, f"{kind}.genai.{name}", rounds, theirs, lambda sample: sample.rate)
        pair = (ours, theirs)
        record_share(rows, f"{kind}.genai.of_{name}", rounds, pair, lambda sample: sample.rate)


def _served(decoders: Decoders, timing: Timing) -> dict[str, Callable[[], Speed]]:
    prompts = Prompts(decoders.size.vocabulary, _SEED)
    lengths = _lengths(decoders)

    def asks() -> Iterator[Ask]:
        return (Ask(prompts.ids(prompt), answer) for prompt, answer in itertools.cycle(lengths))

    def speed(kind: str, callers: int) -> Speed:
        found = write(decoders.server, decoders.name(kind), callers, asks(), timing)
        return Speed(found.rate, found.main_us, found.others_us)

    return {
        f"{kind} @ {callers}": partial(speed, kind, callers)
        for kind in PRECISIONS
        for callers in (1, _CALLERS)
    }


def _genai(
    decoders: Decoders, timing: Timing, bench: Bench, stack: ExitStack
) -> dict[str, Callable[[], Speed]]:
    things: dict[str, Callable[[], Speed]] = {}
    for kind, model in decoders.models.items():
        folders = {batch: bench.folder / f"genai-{kind}-{batch}" for batch in (1, _CALLERS)}
        for batch, folder in folders.items():
            genai_folder(folder, model, decoders.size, decoders.threads, batch)
        child = stack.enter_context(
            ordered("benchmarks.baselines.genai_loop", *folders.values(), decoders.size.vocabulary)
        )
        for callers in (1, _CALLERS):
            order = {
                "callers": callers,
                "seconds": timing.duration_s,
                "warm_s": timing.warm_s,
                "lengths": _lengths(decoders),
            }
            things[f"{kind} @ {callers}, genai"] = partial(_ordered_speed, child, order)
    return things


def _ordered_speed(child: Ordered, order: dict[str, object]) -> Speed:
    return Speed(**child.run(order))


def _lengths(decoders: Decoders) -> list[tuple[int, int]]:
    """The same for all, in the same order."""
    dice = Prompts(decoders.size.vocabulary, _SEED)
    return dice.lengths(_PROMPT_TOKENS, _ANSWER_TOKENS, _LENGTHS)


SCENARIO = Scenario(
    "generation",
    f"Text generation: prompts of {_PROMPT_TOKENS[0]}–{_PROMPT_TOKENS[1]} tokens, answers of "
    f"{_ANSWER_TOKENS[0]}–{_ANSWER_TOKENS[1]}",
    tuple(promise for kind in PRECISIONS for promise in _promises(kind)),
    _measure,
    needs_wrk=False,
)
