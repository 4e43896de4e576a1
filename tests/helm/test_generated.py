"""What is generated is what the generator writes now, and every value is documented."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from helm import generate
from tests.helm.chart import CHART
from tests.tools import tool

GENERATED = ("values.yaml", "README.md", "values.schema.json")


@pytest.mark.parametrize("file", GENERATED)
def test_generating_changes_nothing(file: str, tmp_path: Path) -> None:
    tool("readme-generator")
    for name in GENERATED:
        shutil.copy(CHART / name, tmp_path / name)
    generate.write(tmp_path)
    assert (tmp_path / file).read_text() == (CHART / file).read_text(), "python -m helm.generate"


def test_every_key_of_the_schema_is_in_the_values_and_the_other_way_round() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    _compare(schema, values, "values")


def _compare(schema: dict[str, object], values: object, where: str) -> None:
    properties = schema.get("properties")
    if not isinstance(values, dict) or not isinstance(properties, dict):
        return
    assert schema["additionalProperties"] is False, where
    assert set(properties) == set(values), where
    for key, value in values.items():
        _compare(properties[key], value, f"{where}.{key}")
