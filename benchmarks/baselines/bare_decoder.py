"""Decode steps without an engine, in a process of its own: a loop over the graph, its cache written in place.

    python -m benchmarks.baselines.bare_decoder MODEL THREADS CONTEXT

Orders come as JSON lines on stdin, samples leave as JSON lines on stdout. A step feeds one token to each of
`rows` rows, which hold `past` tokens and one more after every step. With it comes the speed at which as many
threads read memory, for the weights of a step are read once: no step at batch 1 can be faster than that.
"""

import json
import os
import sys
import time
from statistics import mean, median

if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[2]  # read when numpy is imported

import numpy as np
import onnxruntime

_READ_BYTES = 512 << 20  # beyond any cache
_READS = 5


class BareDecoder:
    """Past and present are bound to the same memory, once; only the lengths change."""

    def __init__(self, model: str, threads: int, context: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._context = context
        self._vocabulary = int(self._session.get_outputs()[0].shape[1])
        self._memory = np.ones(_READ_BYTES // 4, np.float32)

    def step_ms(self, rows: int, past: int, steps: int) -> float:
        """Mean of the steps, but for the first. What a row holds does not matter to its cost: zeros."""
        binding = self._session.io_binding()
        lengths, total = np.full(rows, past, np.int32), np.array([past + 1], np.int32)
        inputs: dict[str, np.ndarray] = {
            "ids": np.zeros((rows, 1), np.int64),
            "seqlens_k": lengths,
            "total": total,
            "logit_idx": np.arange(rows, dtype=np.int64),
        }
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, _alias(array))
        logits = np.zeros((rows, self._vocabulary), np.float32)
        binding.bind_ortvalue_output("logits", _alias(logits))
        caches = []
        for given in self._session.get_inputs()[len(inputs) :]:
            _, kv_heads, _, head_size = given.shape
            kind = np.float16 if given.type == "tensor(float16)" else np.float32
            caches.append(np.zeros((rows, kv_heads, self._context, head_size), kind))
            value = _alias(caches[-1])
            binding.bind_ortvalue_input(given.name, value)
            binding.bind_ortvalue_output(given.name.replace("past", "present", 1), value)
        took = []
        for _ in range(steps):
            began = time.perf_counter()
            self._session.run_with_iobinding(binding)
            took.append(time.perf_counter() - began)
            lengths += 1
            total += 1
        return mean(took[1:]) * 1e3

    def read_gb_per_s(self) -> float:
        """Median of several reads of half a gigabyte: a dot product with itself reads it once."""
        took = []
        for _ in range(_READS):
            began = time.perf_counter()
            np.dot(self._memory, self._memory)
            took.append(time.perf_counter() - began)
        return self._memory.nbytes / median(took) / 1e9


def _alias(array: np.ndarray) -> "onnxruntime.OrtValue":
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def main() -> None:
    model, threads, context = sys.argv[1:]
    decoder = BareDecoder(model, int(threads), int(context))
    for line in sys.stdin:
        order = json.loads(line)
        sample = {"step_ms": decoder.step_ms(**order), "read_gb_per_s": decoder.read_gb_per_s()}
        print(json.dumps(sample), flush=True)


if __name__ == "__main__":
    main()
