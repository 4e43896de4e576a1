"""An error that happens in a worker, carried to the front end as JSON and raised there again."""

import orjson

from models.errors import (
    BundleError,
    DeviceLost,
    ExamFailed,
    InferenceFailed,
    InputRefused,
    IntegrityError,
    ManifestInvalid,
    OutOfMemory,
    RunTooLong,
    SlipwayError,
)
from models.runtimes.base import GraphRefused, LoadOutOfMemory, ProviderMissing
from service.errors import NotReady

_KINDS: dict[str, type[SlipwayError]] = {
    kind.reason: kind
    for kind in (
        InputRefused,
        NotReady,
        BundleError,
        DeviceLost,
        ExamFailed,
        GraphRefused,
        IntegrityError,
        LoadOutOfMemory,
        ManifestInvalid,
        OutOfMemory,
        ProviderMissing,
        RunTooLong,
    )
}


def to_json(error: SlipwayError) -> bytes:
    detail = getattr(error, "detail", "") or str(error.__cause__ or "")
    record = {"reason": error.reason, "message": error.message, "detail": detail[:2000]}
    return orjson.dumps(record)


def from_json(data: bytes | memoryview) -> SlipwayError:
    """The same kind of error; one that is not known here becomes InferenceFailed, ours to look into."""
    record = orjson.loads(data)
    kind = _KINDS.get(record["reason"])
    if kind is not None and issubclass(kind, OutOfMemory | DeviceLost):
        return kind(record["message"], record["detail"])
    if kind is not None:
        return kind(record["message"])
    detail = f"{record['reason']}: {record['message']} {record['detail']}"
    return InferenceFailed("the model failed on this input", detail)
