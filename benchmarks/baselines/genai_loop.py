"""onnxruntime-genai without a server, in a process of its own: one request at a time, or statically batched.

    python -m benchmarks.baselines.genai_loop GENERATOR_FOLDER ENGINE_FOLDER VOCABULARY

Orders come as JSON lines on stdin, samples leave as JSON lines on stdout. `callers` of 1 uses the Generator
and more the Engine, whose batches on CPUs are static: a request that comes late waits until the running
batch has ended. Each caller sends its next request when its last is answered; they start one after the other.
Greedy; lengths are given, so that all who are compared write the same amounts.
"""

import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime_genai as genai  # type: ignore[import-untyped]

_STAGGER_S = 0.1
_EVENTS = 64
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Order:
    """`lengths`: (prompt, answer) tokens of the requests, taken in turn."""

    callers: int
    seconds: float
    warm_s: float
    lengths: Sequence[tuple[int, int]]


class Writer:
    """Opens a model for each of genai's two ways."""

    def __init__(self, generator: Any, engine: Any, vocabulary: int) -> None:
        self._model, self._batching = generator, engine
        self._dice = np.random.default_rng(3)
        self._vocabulary = vocabulary

    def measure(self, order: Order) -> dict[str, float]:
        start = time.perf_counter() + order.warm_s
        end = start + order.seconds
        moments = self._alone(order, end) if order.callers == 1 else self._batched(order, end)
        counted = sum(start <= moment for moment in moments)
        return {"rate": counted / (time.perf_counter() - start)}

    def _prompt(self, tokens: int) -> np.ndarray:
        return self._dice.integers(0, self._vocabulary - 1, tokens).astype(np.int32)

    def _alone(self, order: Order, end: float) -> list[float]:
        """Ends between two requests."""
        lengths = itertools.cycle(order.lengths)
        moments: list[float] = []
        while time.perf_counter() < end:
            prompt, answer = next(lengths)
            params = genai.GeneratorParams(self._model)
            whole = prompt + answer
            params.set_search_options(max_length=whole, min_length=whole, do_sample=False)
            generator = genai.Generator(self._model, params)
            generator.append_tokens(self._prompt(prompt))
            for _ in range(answer):
                generator.generate_next_token()
                moments.append(time.perf_counter())
        return moments

    def _batched(self, order: Order, end: float) -> list[float]:
        engine = genai.Engine(self._batching)
        events = engine.create_event_buffer(_EVENTS)
        lengths = itertools.cycle(order.lengths)
        running: set[Any] = set()  # the engine drops a request that nobody holds
        moments: list[float] = []
        joins = [time.perf_counter() + caller * _STAGGER_S for caller in range(order.callers)]
        while (now := time.perf_counter()) < end or not moments:
            if now > end + _PATIENCE_S:
                raise RuntimeError("genai's Engine wrote nothing")
            while joins and joins[0] <= now:
                joins.pop(0)
                running.add(self._begin(engine, *next(lengths)))
            if not running:
                continue
            for event in engine.run(events):
                flags = int(event.flags)
                if flags & int(genai.EngineEventFlags.FAILED):
                    raise RuntimeError(f"a request failed: {event.error_code}")
                if flags & int(genai.EngineEventFlags.TOKEN):
                    moments.append(time.perf_counter())
                if flags & int(genai.EngineEventFlags.TURN_FINISHED):
                    event.request.close()
                    joins.append(now)
                    running.discard(event.request)
        return moments

    def _begin(self, engine: Any, prompt: int, answer: int) -> Any:
        request = engine.create_request()
        options = genai.TurnOptions(request)
        options.set_do_sample(False)
        options.set_max_generated_tokens(answer)
        options.set_min_generated_tokens(answer)
        request.begin_turn(self._prompt(prompt), options)
        return request


def main() -> None:
    generator, engine, vocabulary = sys.argv[1:]
    writer = Writer(genai.Model(generator), genai.Model(engine), int(vocabulary))
    for line in sys.stdin:
        print(json.dumps(writer.measure(Order(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
