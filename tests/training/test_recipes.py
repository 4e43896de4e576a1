"""Every recipe in the registry is complete; this file needs no line for a new one."""

import subprocess
import sys

import pytest

from models.errors import UsageError
from models.naming import is_name
from training import recipes
from training.settings import with_settings
from training.work import Work

NAMES = [recipe.name for recipe in recipes.known()]


def test_the_registry_holds_something_to_check() -> None:
    assert {"digits", "digits-vae"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_one_complete_configuration(name: str) -> None:
    recipe = recipes.get(name)
    config = recipe.build_config()
    assert (config.recipe, config.name) == (name, name)
    assert is_name(config.name)
    assert recipe.summary
    assert recipe.data
    assert recipe.expected_time_s > 0
    assert config.gates.accuracy_floor is not None or config.gates.beats


@pytest.mark.parametrize("name", NAMES)
def test_own_data_keeps_a_gate_but_not_the_floor_of_the_recipes_data(name: str) -> None:
    config = recipes.get(name).build_config(own_data=True)
    assert config.gates.accuracy_floor is None
    assert config.gates.beats


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_a_kind_of_work(name: str) -> None:
    assert issubclass(recipes.get(name).work_class(), Work)


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_survives_being_written_down(name: str) -> None:
    config = recipes.get(name).build_config()
    assert type(config).model_validate(config.model_dump(mode="json")) == config
    assert with_settings(config, []) == config


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        recipes.get("digit")
    assert "did you mean 'digits'?" in caught.value.message
    assert all(name in caught.value.message for name in NAMES)


def test_a_second_registration_is_an_error() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        recipes.register(recipes.get("digits"))


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from training import cli, recipes; recipes.known();"
        "print([m for m in ('torch', 'lightning', 'onnxruntime', 'sklearn') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
