"""A server's life: settings → socket → workers → application → models → ready → … → drained → exit.

The socket comes first, so that a port in use is told before anything is loaded. Workers start before the
application is imported: they come up while it is.
"""

import asyncio
import contextlib
import importlib.util
import logging
import socket
import sys
import time
from typing import TYPE_CHECKING

from models.catalog import require_repository
from models.errors import UsageError
from service.errors import StartError
from service.frontends.base import Alone, FrontEnds
from service.generation.stats import EngineStats
from service.lifecycle.admin import check_settings
from service.lifecycle.lifecycle import Lifecycle, drain
from service.listener import Place, listen, url_of
from service.memory import use_one_arena
from service.observability.metrics import Metrics
from service.observability.vitals import build_labels, vital_signs
from service.registry import ModelRegistry
from service.scrape import listen_for_scrapers, scraped
from service.settings import Settings
from service.tuning.threads import thread_plan
from service.turns import take_short_turns
from service.workers.base import ModelKey, WorkerPool
from service.workers.options import HostOptions

if TYPE_CHECKING:
    from service.workers.pool import ProcessPool

_log = logging.getLogger("slipway.server")

_LAST_RUNS_S = 1.0


def serve(settings: Settings) -> int:
    """Serve until told to stop; returns the exit code. Raises StartError, UsageError, BundleError."""
    use_one_arena()
    take_short_turns()
    configure_logging(settings)
    check_settings(settings)
    require_repository(settings.repository)
    if importlib.util.find_spec("onnxruntime") is None:
        raise StartError("ONNX Runtime is not installed: pip install .[cpu] (or .[gpu])")
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(listen(Place(settings.host, settings.port)))
        if (scrapers := listen_for_scrapers(settings)) is not None:
            sockets.enter_context(scrapers)
        runner = sockets.enter_context(asyncio.Runner(loop_factory=new_loop))
        return runner.run(_serve(settings, listener, scrapers))


async def _serve(
    settings: Settings, listener: socket.socket, scrapers: socket.socket | None
) -> int:
    began = time.perf_counter()
    metrics = Metrics(build_labels(), settings.metrics)
    pool = make_pool(settings, metrics)
    await pool.start()
    registry = ModelRegistry()
    try:
        async with scraped(settings, scrapers, metrics):
            return await _run(settings, listener, registry, pool, metrics, began)
    finally:
        await pool.close()


async def _run(
    settings: Settings,
    listener: socket.socket,
    registry: ModelRegistry,
    pool: WorkerPool,
    metrics: Metrics,
    began: float,
) -> int:
    # Imported here: FastAPI takes longer than everything else, and the workers start meanwhile.
    from service.signals import install
    from service.stack import build_server

    front_ends = _front_ends(settings, listener, registry, pool, metrics)
    server, observer = build_server(registry, settings, metrics, front_ends.wrap)

    def on_drain() -> None:
        registry.is_draining = True
        front_ends.drain()

    install(server, on_drain, settings.lame_duck_s)
    serving = asyncio.create_task(front_ends.serve(server))
    lifecycle = Lifecycle(settings, registry, pool, metrics)
    loading = asyncio.create_task(lifecycle.start())
    try:
        with vital_signs(metrics, server, registry, pool):
            await asyncio.wait((serving, loading), return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                await front_ends.up()
                _announce(settings, listener, registry, time.perf_counter() - began)
                lifecycle.begin_polling()
            await serving
    finally:
        loading.cancel()
        server.should_exit = True
        await asyncio.gather(loading, serving, return_exceptions=True)
        await _drain(registry)
        await lifecycle.close()
        await front_ends.end()
        observer.flush()
    _log.info("stopped")
    return 0


def _front_ends(
    settings: Settings,
    listener: socket.socket,
    registry: ModelRegistry,
    pool: WorkerPool,
    metrics: Metrics,
) -> FrontEnds:
    """This process, and the secondaries when there are to be some; those start at once."""
    if settings.frontends == 1:
        return Alone(listener)
    from service.frontends.primary import Primary
    from service.frontends.shared_pool import SharedPool

    assert isinstance(pool, SharedPool)
    primary = Primary(settings, listener, registry, pool, metrics)
    primary.start()
    return primary


async def _drain(registry: ModelRegistry) -> None:
    """Every caller has its answer by now, or was given up after the grace period: nobody is waiting."""
    try:
        async with asyncio.timeout(_LAST_RUNS_S):
            await drain(registry)
    except TimeoutError:
        _log.warning("a run that nobody waits for is cut off")


def make_pool(settings: Settings, metrics: Metrics) -> WorkerPool:
    """Workers and their threads within the cores that this process may use."""
    workers, threads, wide = thread_plan(settings)
    options = HostOptions(
        threads, settings.provider, gpu=settings.gpu, generation=settings.generation
    )

    def measured(key: ModelKey, stats: EngineStats) -> None:
        metrics.model(key).engine.reported(stats)

    if settings.isolation == "none":
        if settings.frontends > 1:
            raise UsageError("--frontends shares worker processes; --isolation none has none")
        from service.workers.inprocess import InProcessPool

        return InProcessPool(workers, options, measured)

    _log.info("%d workers of %d threads; a batch alone: up to %d", workers, threads, wide)

    def count(reason: str) -> None:
        metrics.worker_restarts[reason] += 1

    pool = _pool_class(settings)(
        workers,
        options,
        wide_threads=wide,
        hang_timeout_s=settings.hang_timeout_s,
        load_timeout_s=settings.load_timeout_s,
        load_memory_bytes=settings.load_memory_bytes,
        memory_limit_bytes=settings.memory_limit_bytes,
        max_batch_size=settings.max_batch_size,
        on_restart=count,
        on_stats=measured,
    )
    metrics.memory = pool.memory.to_json
    return pool


def _pool_class(settings: Settings) -> "type[ProcessPool]":
    from service.workers.pool import ProcessPool

    if settings.frontends == 1:
        return ProcessPool
    from service.frontends.shared_pool import SharedPool

    return SharedPool


def _announce(
    settings: Settings, listener: socket.socket, registry: ModelRegistry, seconds: float
) -> None:
    """One line for people (and tests) that the server can be used, and where."""
    url = url_of(settings.host, listener)
    names = ", ".join(str(model.key) for model in registry)
    if names:
        _log.info("serving %s at %s (try %s/docs) after %.2f s", names, url, url, seconds)
    else:
        where = settings.repository
        _log.warning("%s holds no model to serve yet; `slipway train digits` makes one", where)
        _log.info("listening at %s all the same", url)


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not on every platform; the standard loop does the same, slower
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def configure_logging(settings: Settings) -> None:
    """Plain lines on stderr; the access log has stdout to itself."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    root = logging.getLogger("slipway")
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    root.propagate = False
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.handlers = [handler]
    uvicorn_log.setLevel(logging.ERROR)
    uvicorn_log.propagate = False
