"""The registry of recipes: a small typed table from name to lazily imported parts.

Read by the command line. Importing or listing it imports neither torch nor a recipe's module; `get`
answers an unknown name with the known ones; a second registration of a name is an error of ours.
"""

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import UsageError

if TYPE_CHECKING:
    from training.config import RunConfig
    from training.work import Work


@dataclass(frozen=True)
class Recipe:
    """One entry. "module:name" of a function `() -> RunConfig` and of a `Work` class."""

    name: str
    summary: str
    modality: str
    data: str
    expected_time_s: int
    config: str
    work: str
    # Settings that hold when `--data` replaces the recipe's own data; the floor was chosen for that.
    own_data: tuple[str, ...] = ("gates.accuracy_floor=none",)
    # Settings with which the whole path, train to publish, takes seconds; what tests walk.
    tiny: tuple[str, ...] = ("max_steps=20",)

    def build_config(self, *, own_data: bool = False) -> "RunConfig":
        """The recipe's complete configuration, before the command line changes it."""
        from training.settings import with_settings

        function: Callable[[], RunConfig] = _resolve(self.config)
        return with_settings(function(), self.own_data if own_data else ())

    def work_class(self) -> "type[Work[Any]]":
        """The kind of work; imports torch."""
        work: type[Work[Any]] = _resolve(self.work)
        return work


_RECIPES: dict[str, Recipe] = {}


def register(recipe: Recipe) -> None:
    """Add a recipe; the name must be new."""
    if recipe.name in _RECIPES:
        raise ValueError(f"recipe {recipe.name!r} is registered twice")
    _RECIPES[recipe.name] = recipe


def known() -> tuple[Recipe, ...]:
    """Every recipe, in the order of registration."""
    return tuple(_RECIPES.values())


def get(name: str) -> Recipe:
    """The recipe called `name`. Raises UsageError listing the known ones."""
    if name in _RECIPES:
        return _RECIPES[name]
    close = difflib.get_close_matches(name, _RECIPES, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(f"no recipe named {name!r}: {hint}known recipes are {', '.join(_RECIPES)}")


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
