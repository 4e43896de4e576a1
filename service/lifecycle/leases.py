"""A request keeps its version: what `acquire` gave it stays usable until its answer is written.

Without this a version could be unloaded between the lines of a slow upload and its run. The fast lane needs
no lease: between finding the model and queueing the item it does not let go of the event loop.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.registry import ModelRegistry, ServedModel

_KEY = "slipway.leases"


async def acquire(
    scope: Scope,
    registry: ModelRegistry,
    name: str,
    version: int | None,
    deadline: float | None = None,
) -> ServedModel:
    """As `registry.get`, and the version is the request's until its end. An idle one is loaded first;
    that is waited for until `deadline` (loop seconds)."""
    model = registry.find(name, version)
    if model is not None and model.state == "idle" and registry.control is not None:
        await registry.control.wake(model.key, deadline)
    model = registry.get(name, version)
    model.begin()
    scope.setdefault(_KEY, []).append(model)
    return model


class Leases:
    """ASGI layer that ends them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leases = scope[_KEY] = []
        try:
            await self._app(scope, receive, send)
        finally:
            for model in leases:
                model.end()
