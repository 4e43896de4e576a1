"""A sentence encoder with real weights, texts of mixed length, default settings.

Batching is the trap here: texts padded to the longest of their batch cost more than texts one by one.
The limit is a single-thread session per core, each fed one text at a time; beside the defaults stands the
same server without batching (`--max-batch-size 1`), which they must never be slower than. Answers are
compared with the original network's, under load, before anything is timed.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.graphs import sentence_encoder
from benchmarks.graphs.sentence_encoder import NAME, OUTPUT, publish_sentence_encoder
from benchmarks.harness.answers import ask
from benchmarks.harness.bare import BareResult, Plan, bare_loop
from benchmarks.harness.closed_loop import ClosedLoopResult, closed_loop
from benchmarks.harness.compare import record, record_share
from benchmarks.harness.failures import NotAvailable
from benchmarks.harness.messages import Arrays, Message, binary_message
from benchmarks.harness.processes import AS_EXPORTED, Server, slipway
from benchmarks.harness.rounds import Rounds
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from models.manifest import MODEL_FILE

_PATH = f"/v2/models/{NAME}/infer"
_TEXTS, _SEED, _CHECKED = 64, 11, 32
_CONNECTIONS = 32
_LONGER = 1.5
_WARM_SHARE = 0.3
_BARE, _SERVED, _UNBATCHED = "bare, one text at a time", "V2 binary", "V2 binary, no batching"

Result = BareResult | ClosedLoopResult

_PROMISES = (
    Promise("cosine", "lowest cosine with the original network, 32 texts at once", "", 0.9999),
    Promise("bare", "bare 1-thread session per core, one text at a time", "texts/s"),
    Promise("rate", "V2 binary at 32 connections", "texts/s"),
    Promise("of_bare", "V2 binary at 32 connections ÷ bare", "×", at_least=0.85),
    Promise("unbatched", "the same without batching (--max-batch-size 1)", "texts/s"),
    Promise("of_unbatched", "default ÷ without batching", "×", at_least=0.97),
    Promise("p99", "V2 binary at 32 connections, 99th percentile", "ms"),
)


def _measure(bench: Bench, rows: Rows) -> None:
    missing = sentence_encoder.missing_package()
    if missing:
        raise NotAvailable(f"the package {missing} is not installed: make bench installs it")
    bench.progress.doing("exporting the network (once)")
    repository = bench.folder / "repository"
    publish_sentence_encoder(repository, bench.options.cache, bench.folder / "staged")
    texts = sentence_encoder.texts(_TEXTS, _SEED)
    feeds = sentence_encoder.tokens(texts)
    messages = [binary_message(feed, [OUTPUT]) for feed in feeds]
    seconds = bench.options.seconds * _LONGER
    with ExitStack() as stack:
        model = repository / NAME / "1" / MODEL_FILE
        bare = stack.enter_context(bare_loop(model, feeds, bench.folder))
        server = stack.enter_context(
            slipway(bench.options.checkout, repository, environment=AS_EXPORTED)
        )
        # As long a queue as batches have, or 32 callers would be refused.
        one_by_one = ("--max-batch-size", "1", "--max-queue-wait-ms", "60000")
        alone = stack.enter_context(
            slipway(bench.options.checkout, repository, *one_by_one, environment=AS_EXPORTED)
        )
        bench.progress.doing("comparing answers with the original network")
        rows.record("cosine", [_lowest_cosine(bench.options.cache, server, texts, messages)])
        requests = [message.http(_PATH) for message in messages]
        rounds: Rounds[Result] = bench.alternate(
            {
                _BARE: partial(bare.run, Plan(bench.cores, 1), seconds),
                _SERVED: partial(_ask, server, requests, seconds),
                _UNBATCHED: partial(_ask, alone, requests, seconds),
            }
        )
    bench.keep(rounds.samples)
    record(rows, "bare", rounds, _BARE, lambda sample: sample.rate)
    record(rows, "rate", rounds, _SERVED, lambda sample: sample.rate)
    record_share(rows, "of_bare", rounds, (_SERVED, _BARE), lambda sample: sample.rate)
    record(rows, "unbatched", rounds, _UNBATCHED, lambda sample: sample.rate)
    record_share(rows, "of_unbatched", rounds, (_SERVED, _UNBATCHED), lambda sample: sample.rate)
    found = [sample for sample in rounds.samples[_SERVED] if isinstance(sample, ClosedLoopResult)]
    rows.record("p99", [sample.p99_ms for sample in found])


def _ask(server: Server, requests: Sequence[bytes], seconds: float) -> ClosedLoopResult:
    return closed_loop(server.port, requests, _CONNECTIONS, seconds, seconds * _WARM_SHARE)


def _lowest_cosine(
    cache: Path, server: Server, texts: Sequence[str], messages: Sequence[Message]
) -> float:
    """All at once, so that the server batches them if it ever does."""
    expected = _reference(cache, texts[:_CHECKED])
    with ThreadPoolExecutor(_CHECKED) as callers:
        answers: list[Arrays] = list(
            callers.map(lambda message: ask(server.port, _PATH, message), messages[:_CHECKED])
        )
    found = np.concatenate([answer[OUTPUT] for answer in answers])
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(axis=1) / lengths).min())


def _reference(cache: Path, texts: Sequence[str]) -> np.ndarray:
    """The original's answers take torch half a minute: kept beside the texts they belong to."""
    kept = cache / "sentence-encoder-reference.npz"
    if kept.is_file():
        with np.load(kept) as arrays:
            if list(arrays["texts"]) == list(texts):
                return np.asarray(arrays["embeddings"])
    embeddings = sentence_encoder.reference(texts)
    np.savez(kept, texts=np.array(texts), embeddings=embeddings)
    return embeddings


SCENARIO = Scenario(
    "sentences", "Sentence encoder: MiniLM, 4–120 words mixed", _PROMISES, _measure, False
)
