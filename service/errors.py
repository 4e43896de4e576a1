"""Service's branch of the error tree: what can happen to a request, to a worker and to a start.

    SlipwayError (models/errors.py)
    ├── RequestError            the caller's to mend
    │   ├── BadJson               the body is not the JSON that the endpoint takes
    │   ├── BadRequest            well-formed, but against the endpoint's rules
    │   ├── UnknownModel          no such model or version is served
    │   ├── NotFound              no such path
    │   ├── MethodNotAllowed      the path exists, not with this method
    │   ├── BodyTooLarge          more bytes than allowed
    │   ├── BadHttp               the bytes are not the HTTP that is taken here; the connection ends
    │   ├── RequestTimeout        the request did not arrive in time
    │   ├── TargetTooLong         a path longer than all headers may be
    │   ├── HeadersTooLarge       more header lines or bytes than allowed
    │   ├── Unauthorized          an admin route without the admin token
    │   ├── Forbidden             an admin route asked by a web page
    │   ├── ControlRefused        load or unload where the control mode does not take them
    │   ├── UnsupportedMedia      a content type or encoding that the endpoint does not take
    │   └── QuotaExceeded         the caller has as many requests under way as it may
    ├── Unavailable             try again, here or at another replica
    │   ├── QueueFull             the bounded queue is full; Retry-After says when it will not be
    │   ├── LoadFailed            a version that was to be loaded cannot be served
    │   ├── NotReady              the model is still loading or has failed its exam
    │   ├── WorkerLost            the worker died while it held the request
    │   └── ShuttingDown          the server is ending
    ├── DeadlineExceeded        the request's time was over before its answer
    ├── Cancelled               the caller left; counted, never sent
    │   └── SlowReader            the caller does not read its stream
    ├── OutputMismatch          the model gave answers for another number of items; ours
    └── StartError              the server could not start

`reason` is the one word shared by error bodies, logs and the `reason` label of counters.
"""

from models.errors import SlipwayError


class RequestError(SlipwayError):
    """The caller's mistake."""

    status = 400
    reason = "bad_request"


class BadJson(RequestError):
    reason = "bad_json"


class BadRequest(RequestError):
    reason = "bad_request"


class UnknownModel(RequestError):
    status = 404
    reason = "unknown_model"


class NotFound(RequestError):
    status = 404
    reason = "not_found"


class MethodNotAllowed(RequestError):
    status = 405
    reason = "method_not_allowed"


class BodyTooLarge(RequestError):
    status = 413
    reason = "body_too_large"


class BadHttp(RequestError):
    """What follows on the connection cannot be trusted to be a request: it is closed."""

    reason = "bad_http"


class RequestTimeout(RequestError):
    status = 408
    reason = "request_timeout"


class TargetTooLong(RequestError):
    status = 414
    reason = "target_too_long"


class HeadersTooLarge(RequestError):
    status = 431
    reason = "headers_too_large"


class Unauthorized(RequestError):
    """Says nothing about what is wrong with a token."""

    status = 401
    reason = "unauthorized"


class Forbidden(RequestError):
    status = 403
    reason = "forbidden"


class ControlRefused(RequestError):
    """The server was started with another model control mode."""

    reason = "model_control"


class UnsupportedMedia(RequestError):
    status = 415
    reason = "unsupported_media_type"


class QuotaExceeded(RequestError):
    """The server could, but this caller has its share; others are served (RFC 6585)."""

    status = 429
    reason = "quota"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(SlipwayError):
    """Nothing is wrong with the request; the same one may succeed later or elsewhere."""

    status = 503
    reason = "unavailable"

    def __init__(self, message: str, retry_after_s: float | None = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(Unavailable):
    reason = "queue_full"


class NotReady(Unavailable):
    reason = "not_ready"


class LoadFailed(Unavailable):
    """Told to whoever asked for the load; the message has the reason and what is served instead."""

    reason = "load_failed"


class WorkerLost(Unavailable):
    reason = "worker_lost"


class ShuttingDown(Unavailable):
    reason = "shutting_down"


class DeadlineExceeded(SlipwayError):
    status = 504
    reason = "deadline"


class Cancelled(SlipwayError):
    """499 is nginx's number for a closed request; it appears in logs and counters only."""

    status = 499
    reason = "cancelled"


class SlowReader(Cancelled):
    """The same word as of a connection that is cut off for it."""

    reason = "slow_reader"


class OutputMismatch(SlipwayError):
    """Whose answer is whose cannot be known, so nobody of the batch gets one."""

    reason = "output_mismatch"


class StartError(SlipwayError):
    """The server could not start; printed as one line, exit 1."""

    reason = "start"
