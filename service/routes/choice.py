"""Which model answers at a route whose dialect names none: the only one that does the wanted work.

Not a family of routes. A caller may always name one, as a member of the body or as `?model=`.
"""

from collections.abc import Callable

from starlette.requests import Request

from models.manifest import Manifest
from service.errors import BadRequest, UnknownModel
from service.registry import ModelRegistry, ServedModel
from service.routes.context import served
from service.tasks.base import ServiceTask

Fits = Callable[[Manifest], bool]


def doing(*tasks: str) -> Fits:
    return lambda manifest: manifest.task in tasks


async def chosen(
    request: Request, named: str | None, work: str, *kinds: Fits
) -> tuple[ServedModel, ServiceTask]:
    """The named model, or the only one of the first kind that there is any of.

    `work` says in words what is wanted. Raises BadRequest listing the candidates, UnknownModel, and what
    `served` raises.
    """
    registry: ModelRegistry = request.app.state.registry
    named = named or request.query_params.get("model")
    groups = [
        [model.key.name for model in registry.newest() if fits(model.manifest)] for fits in kinds
    ]
    candidates = [name for group in groups for name in group]
    if named is not None:
        if named not in candidates and registry.find(named) is not None:
            raise BadRequest(f"model {named!r} does not do {work}; {_these(candidates)}")
        return await served(request, named)
    group = next((group for group in groups if group), [])
    if not group:
        raise UnknownModel(f"no served model does {work}")
    if len(group) > 1:
        raise BadRequest(
            f"several models do {work}: name one in the member 'model' or with ?model=; "
            f"{_these(group)}"
        )
    return await served(request, group[0])


def _these(names: list[str]) -> str:
    return f"candidates: {', '.join(names)}" if names else "no served model does"
