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


register(
    Recipe(
        name="digits",
        summary="recognise handwritten digits, or the classes of any image folder",
        modality="vision",
        data="none (scikit-learn digits); --data: image folder or its .tar/.tar.gz",
        expected_time_s=35,
        config="training.recipes.digits:digits",
        work="training.tasks.image_classification:ImageClassificationWork",
        own_data=(
            "gates.accuracy_floor=none",
            "image.fit=stretch",
            "epochs=10",
            "batch_size=128",
            "cpu_threads=0",
            "width=16",
        ),
    )
)
register(
    Recipe(
        name="language-id",
        summary="name the language of a phrase, or classify any labelled text",
        modality="text",
        data="none (CLDR phrases in Babel); --data: TSV, CSV or JSONL with text and label",
        expected_time_s=45,
        config="training.recipes.language_id:language_id",
        work="training.tasks.text_classification:TextClassificationWork",
        # Whole words matter more there, and there are fewer of them: more tokens, gentler steps.
        own_data=(
            "gates.accuracy_floor=none",
            "vocabulary=8192",
            "merge_dropout=0",
            "epochs=5",
            "batch_size=64",
            "dropout=0.3",
            "optim.learning_rate=0.002",
        ),
    )
)
register(
    Recipe(
        name="pycode-gpt",
        summary="continue Python source, or any text, with a small decoder transformer",
        modality="generative",
        data="none (the standard library's sources); --data: text file or folder",
        expected_time_s=140,
        config="training.recipes.pycode_gpt:pycode_gpt",
        work="training.tasks.text_generation:TextGenerationWork",
    )
)
register(
    Recipe(
        name="digits-vae",
        summary="draw handwritten digits of a requested class",
        modality="generative",
        data="none (scikit-learn digits); --data: image folder or its .tar/.tar.gz",
        expected_time_s=50,
        config="training.recipes.digits_vae:digits_vae",
        work="training.tasks.image_generation:ImageGenerationWork",
    )
)
