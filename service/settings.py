"""Every knob of the server, read once at start. Order: command line > environment > default.

The environment name of a field is its name in capitals behind `SLIPWAY_`. Nothing else in the service
reads the environment. A bad value stops the start with key, value and what was expected.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.catalog import default_repository
from models.errors import UsageError
from service.capacity_settings import CapacitySettings
from service.generation.options import GenerationOptions
from service.gpu_settings import GpuSettings
from service.lifecycle.version_policy import VersionPolicy
from service.selection.wishes import Wishes, check_provider, check_variant
from service.timeouts import Timeouts


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


_Entries = BeforeValidator(_split)
Names = Annotated[tuple[str, ...], NoDecode, _Entries]
Variants = Annotated[tuple[Annotated[str, AfterValidator(check_variant)], ...], NoDecode, _Entries]
Providers = Annotated[
    tuple[Annotated[str, AfterValidator(check_provider)], ...], NoDecode, _Entries
]
Policy = Annotated[VersionPolicy, NoDecode, BeforeValidator(VersionPolicy.parse)]


class _ServerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SLIPWAY_", frozen=True, extra="forbid")

    repository: Path = Field(
        default_factory=default_repository, description="folder of <name>/<version>/ bundles"
    )
    host: str = Field(
        default="127.0.0.1",
        description="address to listen on; 0.0.0.0 opens the server to the network",
    )
    port: int = Field(
        default=8000, ge=0, le=65_535, description="TCP port; 0 takes a free one and prints it"
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="TCP port for /metrics alone, which then is not on the main port, so that a network "
        "policy can tell scrapers from callers; it answers until the very end, drain included. 0: on the "
        "main port",
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=256,
        description="inference workers; 0 takes what `slipway tune` found where it did so for every model "
        "served, else one per usable core, at most 4. More workers run more batches at once, each with fewer "
        "threads",
    )
    frontends: int = Field(
        default=1,
        ge=1,
        le=64,
        description="processes that speak HTTP on the one port and share the workers; more than one when "
        "a single event loop is the limit (many small requests, cores to spare)",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="cores to plan for; 0 reads the container's CPU quota and the process's affinity",
    )
    isolation: Literal["process", "none"] = Field(
        default="process",
        description="process: models run in worker processes that can be killed and restarted; none: in "
        "the server's own process, smaller, but a crash in native code takes the server down",
    )
    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        default="cpu",
        description="where ONNX Runtime computes; an absent one is an error, never cpu",
    )
    model_provider: Providers = Field(
        default=(),
        description="where one model computes, as MODEL=PROVIDER, such as digits=cpu beside large models "
        "on a GPU (repeatable); '*' means every model",
    )
    runtime: Literal["auto", "onnxruntime", "openvino"] = Field(
        default="auto",
        description="what runs the graphs; auto takes the fastest of what is installed and of the "
        "variants in each bundle, all within its accuracy budget, measured when a version is loaded for "
        "the first time on a machine. One that is named and absent is an error",
    )
    variant: Variants = Field(
        default=(),
        description="serve a model in this precision that its bundle holds, as MODEL=PRECISION or "
        "MODEL=RUNTIME:PRECISION, such as chat=int4-weight-only or '*=onnxruntime:fp32' (repeatable); the "
        "model's card lists them. A version without it is refused",
    )
    model: Names = Field(
        default=(),
        description="serve only these models, and be ready only when all of them are (repeatable; "
        "in the environment separated by commas); default: every model in the repository",
    )
    version_policy: Policy = Field(
        default=VersionPolicy(),
        description="which versions of each model are served: latest=N (one that fails gives its place "
        "to the next older), all, or specific=1,3",
    )
    model_control_mode: Literal["none", "poll", "explicit"] = Field(
        default="none",
        description="none: what the repository holds at start is served until the end; poll: the "
        "repository is looked at again and again, new versions are served and deleted ones drained; "
        "explicit: only what --model names is loaded at start ('*': everything), the rest when "
        "POST /v2/repository/models/M/load says so",
    )
    repository_poll_s: float = Field(
        default=15.0,
        ge=0.05,
        le=86_400,
        description="with poll, the pause between two looks; a look costs a few file-status calls per "
        "version, an unchanged version is not read again",
    )
    lazy: bool = Field(
        default=False,
        description="check models at start but load each on its first request, which waits for it; for "
        "many models of which few are in use",
    )
    admin_token: SecretStr = Field(
        default=SecretStr(""),
        description="secret that load and unload require as Authorization: Bearer; needed for explicit "
        "control on an address that others can reach. Better given in the environment, where the list "
        "of processes does not show it",
    )
    allow_bare_onnx: bool = Field(
        default=False,
        description="also serve <name>/<version>/model.onnx without a manifest, as plain tensors; what a "
        "manifest would say is derived at every load. `slipway import-onnx` does it once and for all",
    )
    allow_failed_gate: Names = Field(
        default=(), description="serve this model although its quality gate failed (repeatable)"
    )
    max_batch_size: int = Field(
        default=0, ge=0, le=65_536, description="items in one run; 0 takes each bundle's own"
    )
    max_queue_delay_microseconds: int = Field(
        default=-1,
        ge=-1,
        le=1_000_000,
        description="how long a batch may wait for company; -1 takes each bundle's own (0: never)",
    )
    max_queue_size: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="most items that may wait per model, whatever the expected wait; 0: 16,384",
    )
    max_queue_wait_ms: float = Field(
        default=75.0,
        gt=0,
        le=3_600_000,
        description="expected wait for a run beyond which new requests get 503 at once; a batch per "
        "worker (24 items at least) may wait all the same. Shorter keeps accepted requests quick "
        "under overload",
    )
    generation_slots: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="requests of one text model that are written at the same time; 0 takes the bundle's "
        "max_batch_size. More raise the throughput and slow each of them down",
    )
    generation_kv_memory_bytes: int = Field(
        default=0,
        ge=0,
        le=1 << 44,
        description="memory for the keys and values of one text model's requests, committed as it is "
        "used; a request waits until what it may come to need is free. 0: slots times the context, at "
        "most half of what is free when the model is loaded",
    )
    generation_prefill_chunk_tokens: int = Field(
        default=64,
        ge=2,
        le=65_536,
        description="prompt tokens read in one step. Fewer shorten the pause that a long prompt causes "
        "in the streams that run, more bring its own first token sooner",
    )
    generation_prefix_cache_bytes: int = Field(
        default=128 << 20,
        ge=0,
        le=1 << 44,
        description="memory for the beginnings of prompts, per text model, so that a shared system prompt "
        "or the earlier turns of a chat are read once; the least recently used go first. 0 keeps none",
    )
    generation_lookup_tokens: int = Field(
        default=0,
        ge=0,
        le=64,
        description="tokens guessed from the text so far and checked in one run, while a text model "
        "answers a single request: faster where answers quote their prompt, but nearly tied tokens may "
        "come out differently. 0: off; 4 to 8 pay off on models of float32",
    )
    selection: bool = Field(
        default=True,
        description="where several ways of running a version fulfil --runtime and --variant, time them "
        "before it is served for the first time on a machine and take the fastest; off: the graph as it "
        "was exported, and what `slipway tune` has written",
    )
    selection_time_s: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="longest time that timing one version may take; all versions of a server's start "
        "share three times this, and what is left over is served as it was exported until the next start",
    )
    selection_cache: Path = Field(
        default=Path("~/.cache/slipway/selection"),
        description="folder that remembers what was chosen, by machine and version, so that it is timed "
        "once; several servers may share it. One that cannot be written costs the time again",
    )
    max_body_bytes: int = Field(
        default=64 << 20, ge=1024, le=4 << 30, description="largest request body, in bytes received"
    )
    request_timeout_s: float = Field(
        default=30.0, gt=0, le=3600, description="a request without its own deadline gets this one"
    )
    max_request_timeout_s: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="no request is worked on for longer, whatever deadline it names for itself",
    )
    caller_header: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]{0,64}$",
        description="header that tells callers apart, such as x-api-key: under load they get equal turns, "
        "and who floods is refused with 429 before others are with 503; empty: everybody is one caller. "
        "Choose one that a gateway checks or sets",
    )
    max_requests_per_caller: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="requests of one caller that may be under way at once before more get 429; needs "
        "--caller-header. 0: as many as there is room for",
    )
    grace_s: int = Field(
        default=30, ge=1, le=3600, description="after SIGTERM, time to finish accepted requests"
    )
    lame_duck_s: float = Field(
        default=0.0,
        ge=0,
        le=300,
        description="after SIGTERM, how long to go on accepting while readiness says 503, so that load "
        "balancers notice; 5 suits Kubernetes",
    )
    hang_timeout_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="a run that takes longer is stopped, and when it does not listen its worker is killed "
        "two seconds later and replaced; choose more than the slowest honest batch takes",
    )
    load_timeout_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="opening a model and its golden exam may take this long; past it the version is "
        "refused. Choose more for graphs of many gigabytes",
    )
    load_memory_bytes: int = Field(
        default=0,
        ge=0,
        le=1 << 42,
        description="memory that a model may take while it is examined, before it may serve; 0 derives "
        "it from the bundle's size (four times that and 1 GiB), which stops graphs that explode",
    )
    keep_alive_s: int = Field(
        default=65, ge=1, le=3600, description="idle connections are closed after this long"
    )
    header_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="a request's headers must be here this long after its first byte (408 otherwise); "
        "frees the server from callers that send them in drips",
    )
    body_gap_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="longest pause within a request's body before it is given up with 408",
    )
    body_timeout_s: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="a request's body must be here this long after its headers; choose more than the "
        "largest body takes over the slowest link that you want to serve",
    )
    write_timeout_s: float = Field(
        default=20.0,
        gt=0,
        le=3600,
        description="a caller that takes nothing of its answer for this long is cut off; frees memory and "
        "generation slots that an unread stream would hold",
    )
    max_headers: int = Field(
        default=100, ge=1, le=10_000, description="header lines of one request; more get 431"
    )
    max_header_bytes: int = Field(
        default=32 << 10,
        ge=1024,
        le=1 << 20,
        description="bytes of one request's first line and headers; more get 431 (414 for the path)",
    )
    compress_above_bytes: int = Field(
        default=16 << 10,
        ge=0,
        le=1 << 30,
        description="answers longer than this are compressed for callers that accept it; 0 never does. "
        "Lower it for slow networks, where bytes cost more than processor time",
    )
    access_log: bool = Field(default=True, description="one JSON line per request on stdout")
    metrics: bool = Field(
        default=True,
        description="count requests and time their phases; without, /metrics and statistics stay at "
        "zero. For measuring what observation costs",
    )
    otlp_endpoint: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="OpenTelemetry collector that receives a span per sampled request, such as "
        "http://collector:4318 (OTLP over HTTP, the otel extra); empty exports none",
    )
    trace_sample_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="share of the requests without traceparent that start an exported trace; a caller's "
        "own traceparent decides for itself. 1 traces all, for a quiet service",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severity written to stderr"
    )

    @property
    def generation(self) -> GenerationOptions:
        return GenerationOptions(
            slots=self.generation_slots,
            kv_memory_bytes=self.generation_kv_memory_bytes,
            max_waiting=self.max_queue_size,
            prefill_chunk_tokens=self.generation_prefill_chunk_tokens,
            prefix_cache_bytes=self.generation_prefix_cache_bytes,
            lookup_tokens=self.generation_lookup_tokens,
        )

    @property
    def wishes(self) -> Wishes:
        return Wishes.of(self.runtime, self.provider, self.variant, self.model_provider)

    @property
    def timeouts(self) -> Timeouts:
        return Timeouts(self.request_timeout_s, self.max_request_timeout_s)


class Settings(CapacitySettings, GpuSettings, _ServerSettings):
    """The whole; fields come in the order of the bases from right to left."""


def load_settings(**given: object) -> Settings:
    """Settings from what the command line gave (None: not given), the environment and the defaults.

    Raises UsageError naming the key, the value and what was expected.
    """
    try:
        return Settings(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0]) if first["loc"] else "settings"
        where = (
            f"--{key.replace('_', '-')}" if given.get(key) is not None else f"SLIPWAY_{key.upper()}"
        )
        raise UsageError(
            f"{where}={first['input']!r}: {_expectation(key, first['msg'])}"
        ) from error


def _expectation(key: str, message: str) -> str:
    field = Settings.model_fields.get(key)
    meaning = f" ({field.description})" if field is not None else ""
    return message[0].lower() + message[1:] + meaning
