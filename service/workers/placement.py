"""Which workers a model belongs on, and getting it there."""

from dataclasses import dataclass

import orjson

from models.bundle import Bundle
from models.errors import SlipwayError
from models.runtimes.base import LoadCrashed, LoadTimeout
from service.errors import WorkerLost
from service.selection.choice import Choice
from service.workers.base import LoadReport, ModelKey
from service.workers.channel import Op
from service.workers.child import Child
from service.workers.hosted import Hosted
from service.workers.pulse import LOAD_LANE


@dataclass(frozen=True)
class Placed:
    """A model of a pool of `workers`. A batch model is on all of them, a generation model on one."""

    hosted: Hosted
    bundle: Bundle
    workers: int
    choice: Choice

    @property
    def handle(self) -> int:
        return self.hosted.handle

    @property
    def key(self) -> ModelKey:
        return self.hosted.key

    @property
    def copies(self) -> int:
        """Workers that hold it."""
        return 1 if self.hosted.is_generation else self.workers

    def belongs_on(self, worker: int) -> bool:
        return not self.hosted.is_generation or worker == self.handle % self.workers


def order_of(bundle: Bundle, choice: Choice) -> dict[str, object]:
    """What a worker needs to know to open a version."""
    return {
        "path": str(bundle.path),
        "created_at": bundle.manifest.created_at,
        "choice": choice.to_json(),
    }


async def load_on(child: Child, model: Placed) -> LoadReport | None:
    """Load and examine on one worker; None when it was lost to something else meanwhile.

    Raises BundleError: what the runtime says, LoadCrashed or LoadTimeout.
    """
    order = order_of(model.bundle, model.choice)
    try:
        answer = await child.connection.call(Op.LOAD, model.handle, orjson.dumps(order))
    except (WorkerLost, LoadTimeout) as error:
        raise_if_guilty(child, model, error)
        return None
    child.handles.add(model.handle)
    return LoadReport.from_json(orjson.loads(answer))


def raise_if_guilty(child: Child, model: Placed, error: SlipwayError) -> None:
    """Raises when it was this model that was being loaded when the worker was lost."""
    doing = child.connection.pulse.doing(LOAD_LANE)
    if doing is None or doing.handle != model.handle:
        return
    if isinstance(error, LoadTimeout):
        raise LoadTimeout(f"model {model.key} {error.message}") from error
    raise LoadCrashed(f"model {model.key} took its worker down while loading") from error
