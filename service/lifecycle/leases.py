"""A request keeps its version: what `acquire` gave it stays usable until its answer is written.

Without this a version could be unloaded between the lines of a slow upload and its run. The fast lane needs
no lease: between finding the model and queueing the item it does not let go of the event loop.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.quota import CallerQuota, Place
from service.registry import ModelRegistry, ServedModel

_KEY = "slipway.leases"
_QUOTA, _PLACE = "slipway.quota", "slipway.place"


async def acquire(
    scope: Scope,
    registry: ModelRegistry,
    name: str,
    version: int | None,
    deadline: float | None = None,
) -> ServedModel:
    """As `registry.get`, and the version is the request's until its end. An idle one is loaded first;
    that is waited for until `deadline` (loop seconds)."""
    enter_quota(scope)
    model = registry.find(name, version)
    if model is not None and model.state == "idle" and registry.control is not None:
        await registry.control.wake(model.key, deadline)
    model = registry.get(name, version)
    model.begin()
    scope.setdefault(_KEY, []).append(model)
    return model


def enter_quota(scope: Scope) -> None:
    """The request counts against its caller from now until its end. Raises QuotaExceeded."""
    quota: CallerQuota | None = scope.get(_QUOTA)
    if quota is not None and _PLACE not in scope:
        scope[_PLACE] = quota.enter(dict(scope["headers"]))


def caller_of(scope: Scope) -> bytes | None:
    """Whose request it is; None where callers are not told apart."""
    place: Place | None = scope.get(_PLACE)
    return None if place is None else place.caller


class Leases:
    """ASGI layer that ends them, and gives back callers' places."""

    def __init__(self, app: ASGIApp, quota: CallerQuota | None = None) -> None:
        self._app = app
        self._quota = quota

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leases = scope[_KEY] = []
        scope[_QUOTA] = self._quota
        try:
            await self._app(scope, receive, send)
        finally:
            for model in leases:
                model.end()
            if self._quota is not None and (place := scope.get(_PLACE)) is not None:
                self._quota.leave(place)
