"""The decoders of the generation scenarios: exported once, published, and served by one server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.graphs.language_model import (
    PRECISIONS,
    SIZES,
    DecoderSize,
    exported,
    publish_language_model,
)
from benchmarks.harness.processes import Server, slipway
from benchmarks.harness.scenario import Bench
from service.threads import plan

SLOTS = 16


@dataclass(frozen=True)
class Decoders:
    """`models`: precision → graph. The server knows them as `decoder-<precision>`. `threads`: what the
    server gives a worker, which baselines are given too."""

    size: DecoderSize
    models: dict[str, Path]
    threads: int
    server: Server

    def name(self, precision: str) -> str:
        return f"decoder-{precision}"


@contextmanager
def served_decoders(bench: Bench) -> Iterator[Decoders]:
    size = SIZES[bench.options.decoder]
    repository = bench.folder / "repository"
    models = {}
    for precision in PRECISIONS:
        bench.progress.doing(f"exporting the {size.name} decoder in {precision} (once)")
        models[precision] = exported(bench.options.cache, size, precision)
        publish_language_model(
            repository,
            f"decoder-{precision}",
            models[precision],
            size,
            SLOTS,
            bench.folder / precision,
        )
    threads = plan(bench.cores, 0).threads
    bench.facts["decoder"] = (
        f"{size.layers} layers, {size.width} wide, {size.heads} heads on {size.kv_heads}, "
        f"{size.vocabulary:,} tokens, random weights, {SLOTS} slots; {threads} thread"
        f"{'s' * (threads > 1)} for whoever computes"
    )
    with slipway(bench.options.checkout, repository) as server:
        yield Decoders(size, models, threads, server)
