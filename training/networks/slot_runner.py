"""Runs a slot graph as the generation engine does: prompts in chunks, ragged rows, the cache in place.

Used where the exported graph must be judged the way it will serve: greedy texts in *verify*, the time of
a step in *optimize*, comparison with another library in *import*. The served engine is
`service.generation`, which training does not import; this one has no queue, no sampling and no limits.
Letters as in `slot_graph`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.predict import open_session
from training.work import Predict

Tokens = NDArray[np.int64]
_FIRST_INPUTS = 4  # ids, seqlens_k, total, logit_idx; the cache comes behind


class SlotRunner:
    """`rows` texts of at most `length` tokens at once; row contents are garbage until they are fed."""

    def __init__(self, graph: Path, rows: int, length: int) -> None:
        self._session = open_session(graph)
        past = self._session.get_inputs()[_FIRST_INPUTS:]
        kinds = {"tensor(float16)": np.float16, "tensor(float)": np.float32}
        self._caches: dict[str, NDArray[Any]] = {
            spec.name.removeprefix("past."): np.zeros(
                (rows, spec.shape[1], length, spec.shape[3]), kinds[spec.type]
            )
            for spec in past
        }
        self._vocabulary = int(self._session.get_outputs()[0].shape[1])

    def feed(self, row: int, cached: int, tokens: Tokens) -> NDArray[np.float32]:
        """Append to a row that holds `cached` tokens; logits [V] after the last."""
        last = np.array([len(tokens) - 1], np.int64)
        lengths = np.array([cached + len(tokens) - 1], np.int32)
        [logits] = self._run(slice(row, row + 1), tokens[np.newaxis], lengths, last)
        result: NDArray[np.float32] = logits
        return result

    def read(self, row: int, prompt: Tokens, chunk: int) -> NDArray[np.float32]:
        """A whole prompt into an empty row, `chunk` tokens at a time; logits [V] after its last. No
        chunk is left with a single token, which the kernel would compute on another path."""
        fed = 0
        while len(prompt) - fed > chunk + 1:
            self.feed(row, fed, prompt[fed : fed + chunk])
            fed += chunk
        return self.feed(row, fed, prompt[fed:])

    def step(self, tokens: Tokens, lengths: NDArray[np.int32]) -> NDArray[np.float32]:
        """One token [B] more for rows [0, B), which hold `lengths` [B] tokens; logits [B, V]."""
        every = np.arange(len(tokens), dtype=np.int64)
        return self._run(slice(0, len(tokens)), tokens[:, np.newaxis], lengths, every)

    def _run(
        self, rows: slice, ids: Tokens, lengths: NDArray[np.int32], wanted: Tokens
    ) -> NDArray[np.float32]:
        logits = np.empty((len(wanted), self._vocabulary), np.float32)
        total = np.array([lengths.max() + 1], np.int32)
        controls: dict[str, NDArray[Any]] = {
            "ids": np.ascontiguousarray(ids),
            "seqlens_k": lengths,
            "total": total,
            "logit_idx": wanted,
        }
        binding = self._session.io_binding()
        for name, array in controls.items():
            binding.bind_ortvalue_input(name, _alias(array))
        for name, cache in self._caches.items():
            value = _alias(cache[rows])  # bound to both sides, so that the kernel appends in place
            binding.bind_ortvalue_input(f"past.{name}", value)
            binding.bind_ortvalue_output(f"present.{name}", value)
        binding.bind_ortvalue_output("logits", _alias(logits))
        self._session.run_with_iobinding(binding)
        return logits


def greedy(graph: Path, prompts: Sequence[Tokens], tokens: int, chunk: int) -> list[list[int]]:
    """The likeliest continuation of every prompt, `tokens` long each; all rows advance together."""
    runner = SlotRunner(graph, len(prompts), max(map(len, prompts)) + tokens)
    last = np.array(
        [runner.read(row, prompt, chunk).argmax() for row, prompt in enumerate(prompts)], np.int64
    )
    lengths = np.array([len(prompt) for prompt in prompts], np.int32)
    answers = [last]
    for _ in range(tokens - 1):
        last = runner.step(last, lengths).argmax(axis=1).astype(np.int64)
        lengths += 1
        answers.append(last)
    return [[int(token) for token in row] for row in np.stack(answers, axis=1)]


def lost_lead(
    ask: Predict, inputs: dict[str, NDArray[Any]], prompt: Tokens, answer: Tokens
) -> float:
    """By how much, at most, another token was likelier to `ask` than the one chosen, in logits.

    `inputs` read prompt and answer as one text and want every position: each choice is judged on the very
    text that it was made on, so that a tie at one place says nothing about those after it.
    """
    logits = ask(inputs)["logits"][len(prompt) - 1 : -1]
    chosen = np.take_along_axis(logits, answer[:, np.newaxis], axis=1)[:, 0]
    return float(np.nan_to_num(logits.max(axis=1) - chosen, nan=np.inf).max())


def _alias(array: NDArray[Any]) -> onnxruntime.OrtValue:
    """On the array's own memory, which the caller keeps until the run is over."""
    value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    assert value.data_ptr() == array.ctypes.data, "ONNX Runtime copied shared memory"
    return value
