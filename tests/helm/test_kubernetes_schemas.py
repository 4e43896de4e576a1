"""What is rendered obeys the schemas of every Kubernetes that the chart supports, unknown fields refused."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import KUBERNETES, PRESETS, documents, is_custom, refusal
from tests.tools import tool

_NO_SCHEMA = "Couldn't find schema"
# The volume source does not exist there, and the chart says so itself.
_TOO_OLD = {("image-volume", "1.30")}


def _validate(version: str, files: list[Path]) -> subprocess.CompletedProcess[str]:
    command = [str(tool("kubernetes-validate")), "-k", version, "--strict", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# The newest at every check, which takes seconds; the others with all tests.
_VERSIONS = [pytest.param(v, marks=pytest.mark.slow) for v in KUBERNETES[:-1]] + [KUBERNETES[-1]]


@pytest.mark.parametrize("version", _VERSIONS)
def test_every_object_of_every_preset_is_valid(version: str, tmp_path: Path) -> None:
    files = []
    for preset in PRESETS:
        if (preset, version) in _TOO_OLD:
            continue
        core = [d for d in documents(preset, kubernetes=version) if not is_custom(d)]
        assert core
        files.append(tmp_path / f"{preset}.yaml")
        files[-1].write_text(yaml.safe_dump_all(core))
    done = _validate(version, files)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert _NO_SCHEMA not in said  # only a warning there: an object nobody has looked at
    assert "did not validate" not in said


def test_image_volumes_are_refused_where_they_do_not_exist() -> None:
    assert "image volumes need Kubernetes 1.31" in refusal("image-volume", kubernetes="1.30")


def test_the_validator_would_notice(tmp_path: Path) -> None:
    """An unknown field fails, an unknown kind is said: what the test above relies on."""
    wrong = tmp_path / "wrong.yaml"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "x"},
        "spec": {"prots": []},
    }
    wrong.write_text(yaml.safe_dump(service))
    assert _validate("1.34", [wrong]).returncode != 0
    wrong.write_text(yaml.safe_dump(service | {"apiVersion": "autoscaling/v2beta1"}))
    done = _validate("1.34", [wrong])
    assert _NO_SCHEMA in done.stdout + done.stderr
