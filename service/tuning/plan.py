"""The result of `slipway tune`: `<repository>/<model>/tuning-<version>.json`, beside the bundle, never in it.

Written whole or not at all. Whoever loads the version consults `read_plan`; a plan that cannot be trusted
here (another machine, another bundle, a damaged file) is ignored with a warning, never an error.
"""

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from models.blocks import Record
from models.bundle import Bundle
from models.errors import BundleError, SlipwayError
from models.files import read_plain
from models.manifest import MANIFEST_FILE
from models.naming import NAME_PATTERN, VERSION_PATTERN
from models.runtimes.hardware import fingerprint
from service.selection.choice import Choice

_log = logging.getLogger("slipway.tuning")

_LIMIT_BYTES = 1 << 20
_NAME = re.compile(rf"tuning-{VERSION_PATTERN[1:-1]}\.json")


def _ascending(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if any(size < 1 for size in sizes) or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"{list(sizes)}: lengths are positive and ascend")
    return sizes


class PlanNotWritten(SlipwayError):
    """The file system refused; what lay there before still does."""

    reason = "plan"


class MeasuredLoad(Record):
    """What callers felt at one load. Milliseconds from sending to the whole answer."""

    concurrency: int = Field(ge=1, description="callers at once, each waits for its answer")
    requests_per_s: float = Field(ge=0)
    p50_ms: float | None = Field(default=None, ge=0, description="absent: nobody was answered")
    p95_ms: float | None = Field(default=None, ge=0)
    p99_ms: float | None = Field(default=None, ge=0)
    error_share: float = Field(default=0.0, ge=0, le=1)
    memory_bytes: int = Field(default=0, ge=0, description="of all processes of the server")


class TuningPlan(Record):
    """How to run one version of a model on one kind of machine, and what was measured."""

    schema_version: Literal[1] = 1
    model: str = Field(pattern=NAME_PATTERN)
    version: int = Field(ge=1)
    bundle_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of its manifest.json")
    hardware: str = Field(description="fingerprint of the machine it was measured on")
    hardware_name: str = Field(default="", description="the same in words")
    choice: Choice
    workers: int = Field(ge=1, le=256, description="of the server that it was measured on")
    threads: int = Field(ge=1, le=1024, description="of one worker's session")
    max_batch_size: int = Field(ge=1, le=65_536)
    max_queue_delay_microseconds: int = Field(ge=0, le=1_000_000)
    length_buckets: Annotated[tuple[int, ...], AfterValidator(_ascending)] = Field(
        default=(), description="batches are padded to one of these lengths; empty: as they come"
    )
    objective: str = Field(default="", description="what was asked for, such as p99_ms=50")
    measured: tuple[MeasuredLoad, ...] = ()
    created_at: str = Field(description="UTC, ISO 8601")

    def to_json(self) -> bytes:
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()


def plan_name(version: int) -> str:
    return f"tuning-{version}.json"


def plan_file(bundle: Bundle) -> Path:
    """Where the plan of a version lies, whether or not there is one."""
    return bundle.path.parent / plan_name(bundle.version)


def is_plan_file(name: str) -> bool:
    """A name that readers of a repository pass over without a word."""
    return _NAME.fullmatch(name) is not None


def bundle_sha256(bundle: Bundle) -> str:
    """Of the manifest as it lies there, which holds every other file's checksum. Raises IntegrityError."""
    return hashlib.sha256(read_plain(bundle.path, MANIFEST_FILE)).hexdigest()


def write_plan(bundle: Bundle, plan: TuningPlan) -> Path:
    """Temporary file → fsync → rename → fsync of the folder. Raises PlanNotWritten."""
    target = plan_file(bundle)
    # Hidden and of this process alone: a second tuning of the same version cannot tear it.
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            file.write(plan.to_json())
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, target)
        _sync_folder(target.parent)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise PlanNotWritten(f"{target} is not written: {error.strerror}") from error
    return target


def read_plan(
    bundle: Bundle, hardware: str | None = None, *, warns: bool = True
) -> TuningPlan | None:
    """The plan of this very bundle for this machine (or for `hardware`, a fingerprint); never raises.

    None without a file; None and one warning, unless somebody else warns, for a file that is damaged, or of
    another bundle or machine.
    """
    file = plan_file(bundle)
    if not os.path.lexists(file):
        return None
    try:
        plan = TuningPlan.model_validate_json(read_plain(file.parent, file.name, _LIMIT_BYTES))
        why = _why_not(bundle, plan, hardware or fingerprint())
    except BundleError as error:
        why = error.message
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        why = f"{where}: {first['msg']}" if where else first["msg"]
    if not why:
        return plan
    if not warns:
        return None
    _log.warning(
        "%s/%d: %s is ignored: %s; `slipway tune %s` writes it anew",
        *(bundle.name, bundle.version, file.name, why, bundle.name),
    )
    return None


def _why_not(bundle: Bundle, plan: TuningPlan, hardware: str) -> str:
    """Empty when it may be used. Raises IntegrityError."""
    if (plan.model, plan.version) != (bundle.name, bundle.version):
        return f"it belongs to {plan.model}/{plan.version}"
    if plan.bundle_sha256 != bundle_sha256(bundle):
        return "the version was published anew since"
    if plan.hardware != hardware:
        return f"it was measured on another machine ({plan.hardware_name or plan.hardware})"
    if plan.choice.file not in bundle.manifest.files:
        return f"the version has no {plan.choice.file}"
    return ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
