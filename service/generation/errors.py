"""What can go wrong with a generation request, as the generation branch of the error tree.

SlipwayError
├── GenerationInvalid     400  the request itself: values, prompt length, unknown token ids
├── GenerationQueueFull   503  more requests wait than the model's queue holds
├── GenerationFailed      500  the model gave no usable answer for this request
└── GraphRefused          503  the bundle's graph is not one that the engine can run safely
"""

from models.errors import BundleError, SlipwayError


class GenerationInvalid(SlipwayError):
    """The caller's mistake; nothing was started."""

    status = 400
    reason = "invalid_request"


class GenerationQueueFull(SlipwayError):
    """Refused at once rather than kept waiting; trying again helps."""

    status = 503
    reason = "queue_full"
    retry_after_s = 1.0


class GenerationFailed(SlipwayError):
    """This request failed inside the model; its neighbours did not."""

    status = 500
    reason = "generation_failed"


class GraphRefused(BundleError):
    """The decoder graph breaks the slot contract, or would let one caller change another's answer."""

    reason = "graph_refused"
