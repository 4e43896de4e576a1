"""The root of the one error tree, and the branch that concerns bundles on disk.

    SlipwayError
    ├── UsageError              the person at the command line asked for something impossible
    ├── BundleError             a bundle on disk cannot be trusted
    │   ├── RepositoryMissing     the repository folder is not there
    │   ├── BundleMissing         no such model or version
    │   ├── ManifestInvalid       manifest.json absent, unreadable or against the schema
    │   ├── IntegrityError        a file is missing, extra, altered or not a plain file
    │   └── ExamFailed            the golden exam gave other answers than at export
    ├── PublishError            a bundle could not be written
    ├── FetchError              an archive of bundles could not be had, or is not the one that was asked for
    ├── InputError              one input cannot be turned into tensors
    │   ├── ImageError            not a picture that can be decoded
    │   ├── ImageTooLarge         more pixels than allowed
    │   ├── TextEmpty             nothing left to read
    │   └── TextTooLong           more tokens than the model takes
    ├── RunError                a runtime could not run a graph on an input
    │   ├── InputRefused          the graph refused the values (an id out of range …)
    │   ├── RunTooLong            it ran longer than any batch may, and was stopped
    │   ├── OutOfMemory           this many items at once did not fit; fewer may
    │   ├── DeviceLost            the GPU will answer nothing more to this process
    │   └── InferenceFailed       it failed on an input that it should have taken
    ├── training/errors.py      data, gates, recipes
    └── service/errors.py       requests, capacity, workers

Every class carries what each audience needs: `status` for HTTP, `reason` for the error body's `code`,
the log and the metric label (one word, used everywhere), `exit_code` for the shell, and `retry_after_s`
when trying again can help. The message names the thing and the remedy and is public: it must never
hold a path inside the server, a traceback or an address unless `public` is overridden.
"""

from typing import ClassVar


class SlipwayError(Exception):
    """Base of everything Slipway raises on purpose."""

    status: ClassVar[int] = 500
    reason: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1
    retry_after_s: float | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def public(self) -> str:
        """The text that may be shown to a remote caller."""
        return self.message


class UsageError(SlipwayError):
    """A command line asked for something that cannot be done; exits with 2."""

    status = 400
    reason = "usage"
    exit_code = 2


class BundleError(SlipwayError):
    """A bundle on disk cannot be served. Remote callers are told so without paths."""

    status = 503
    reason = "bundle"

    @property
    def public(self) -> str:
        return "the model's files on the server cannot be used; its operator has the details"


class RepositoryMissing(BundleError):
    reason = "repository_missing"


class BundleMissing(BundleError):
    status = 404
    reason = "unknown_model"


class ManifestInvalid(BundleError):
    reason = "manifest"


class IntegrityError(BundleError):
    reason = "integrity"


class ExamFailed(BundleError):
    reason = "exam"


class PublishError(SlipwayError):
    """A bundle could not be written; nothing of it is visible to readers."""

    reason = "publish"


class FetchError(SlipwayError):
    """An archive of bundles could not be had; readers of the repository see what they saw before."""

    reason = "fetch"


class InputError(SlipwayError):
    """One input cannot be turned into tensors; the caller's to mend."""

    status = 400
    reason = "bad_input"


class ImageError(InputError):
    status = 422
    reason = "undecodable_image"


class ImageTooLarge(InputError):
    status = 413
    reason = "image_too_large"


class TextEmpty(InputError):
    reason = "empty_text"


class TextTooLong(InputError):
    reason = "text_too_long"


class RunError(SlipwayError):
    """A runtime could not run a graph on an input."""


class InputRefused(RunError):
    """The caller's to mend."""

    status = 422
    reason = "input_refused"


class RunTooLong(RunError):
    status = 504
    reason = "run_timeout"


class OutOfMemory(RunError):
    """The batch wanted more memory than there is. Fewer items at once, or the same later, may fit: a batch
    is tried in parts, and whoever is alone with it may try again. `detail` is for the log alone."""

    status = 503
    reason = "out_of_memory"
    retry_after_s = 1.0

    def __init__(
        self,
        message: str = "the model ran out of memory on this batch; send fewer or smaller items at once, "
        "or try again later",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.detail = detail


class DeviceLost(RunError):
    """After an error of this kind every further call to the GPU fails in this process: it must end and be
    replaced. `detail` is for the log alone."""

    status = 503
    reason = "device_lost"
    retry_after_s = 2.0

    def __init__(
        self,
        message: str = "the GPU failed and is being taken into use again; try again",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.detail = detail


class InferenceFailed(RunError):
    """The runtime failed on an input that it should have taken. `detail` is for the log alone."""

    reason = "inference_failed"

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail
