"""Custom resources obey their operators' schemas, and have no field that those do not know.

The schemas let unknown fields pass, as a cluster does, which drops them: a misspelt one would do nothing.
The same packages describe every type for TypeScript, whose compiler refuses such fields at any depth.
"""

import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kserve.models
import pytest

from tests.helm.chart import CUSTOM_APIS, PRESETS, Document, documents, is_custom, of_kind
from tests.tools import node_packages

_PACKAGES = {
    "monitoring.coreos.com": "prometheus-operator",
    "keda.sh": "keda",
    "gateway.networking.k8s.io": "gateway-api",
}
_KSERVE = "serving.kserve.io/v1alpha1"


@pytest.fixture(scope="module")
def resources() -> list[Document]:
    """Those of every preset, KServe's apart."""
    found = [d for preset in PRESETS for d in documents(preset) if is_custom(d)]
    assert {d["apiVersion"] for d in found} == set(CUSTOM_APIS), "a preset uses each of them"
    return [d for d in found if d["apiVersion"] != _KSERVE]


def _validate(resources: list[Document]) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("validate_resources.mjs")
    folder = node_packages()
    # Node.js looks for packages beside the script.
    beside = Path(shutil.copy(script, folder / script.name))
    command = ["node", str(beside)]
    return subprocess.run(
        command, input=json.dumps(resources), capture_output=True, text=True, check=False
    )


def _compile(resources: list[Document], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "node_modules").symlink_to(node_packages() / "node_modules")
    lines = ["export {};"]
    for index, resource in enumerate(resources):
        group, version = resource["apiVersion"].split("/")
        kind, package = resource["kind"], f"@kubernetes-models/{_PACKAGES[group]}"
        lines += [
            f'import type {{ I{kind} as Type{index} }} from "{package}/{group}/{version}/{kind}";',
            f"const resource{index}: Type{index} = {json.dumps(resource)};",
        ]
    (folder / "resources.ts").write_text("\n".join(lines))
    options = "--noEmit --strict --skipLibCheck --module nodenext --moduleResolution nodenext"
    command = [str(folder / "node_modules/.bin/tsc"), *options.split(), "resources.ts"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_values_are_what_the_operators_take(resources: list[Document]) -> None:
    done = _validate(resources)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_value_would_be_noticed(resources: list[Document]) -> None:
    wrong = copy.deepcopy(of_kind("ServiceMonitor", resources))
    wrong["spec"]["endpoints"][0]["interval"] = "soon"
    done = _validate([wrong])
    assert done.returncode == 1
    assert "interval" in done.stdout


def test_no_field_is_unknown_to_the_operators(resources: list[Document], tmp_path: Path) -> None:
    done = _compile(resources, tmp_path)
    assert done.returncode == 0, done.stdout


def test_an_unknown_field_would_be_noticed(resources: list[Document], tmp_path: Path) -> None:
    scaled = copy.deepcopy(of_kind("ScaledObject", resources))
    scaled["spec"]["fallback"]["failureTreshold"] = 3
    done = _compile([scaled], tmp_path)
    assert done.returncode != 0
    assert "failureTreshold" in done.stdout


def test_the_serving_runtime_has_kserves_fields_alone() -> None:
    runtime = of_kind("ServingRuntime", documents("kserve"))
    assert list(_unknown(runtime, "V1alpha1ServingRuntime", "")) == []
    runtime["spec"]["supportedFormats"] = []
    assert list(_unknown(runtime, "V1alpha1ServingRuntime", "")) == [".spec.supportedFormats"]


def _unknown(value: object, kind: str, path: str) -> Iterator[str]:
    """Fields that KServe's own client does not know, down to Kubernetes' types."""
    model = getattr(kserve.models, kind, None)
    if model is None or not isinstance(value, dict):
        return
    fields = {name: attribute for attribute, name in model.attribute_map.items()}
    for key, inner in value.items():
        if key not in fields:
            yield f"{path}.{key}"
            continue
        kind_inside = model.openapi_types[fields[key]].removeprefix("list[").removesuffix("]")
        for part in inner if isinstance(inner, list) else [inner]:
            yield from _unknown(part, kind_inside, f"{path}.{key}")
