"""The chart as its tests see it: rendered by the real helm, read as documents."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.tools import tool

CHART = Path(__file__).parents[2] / "helm" / "slipway"
PRESETS = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())
KUBERNETES = ("1.30", "1.31", "1.32", "1.33", "1.34")
# What a cluster with every operator that the chart can use would offer.
CUSTOM_APIS = (
    "gateway.networking.k8s.io/v1",
    "keda.sh/v1alpha1",
    "monitoring.coreos.com/v1",
    "serving.kserve.io/v1alpha1",
)

Document = dict[str, Any]


def helm(*arguments: str, values: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(tool("helm")), *arguments], input=values, capture_output=True, text=True, check=False
    )


@cache
def template(
    preset: str = "", *settings: str, values: str = "", kubernetes: str = "1.34", apis: bool = True
) -> subprocess.CompletedProcess[str]:
    """`helm template` of a preset with more values: `key=value` settings, or YAML."""
    files = ["-f", str(CHART / "ci" / f"{preset}-values.yaml")] if preset else []
    more = [part for setting in settings for part in ("--set", setting)]
    known = [part for api in CUSTOM_APIS if apis for part in ("--api-versions", api)]
    # helm 3.10 takes a cluster of 1.25 for granted, which this chart refuses.
    versions = ["--kube-version", f"{kubernetes}.0", *known]
    where = ["template", "release", str(CHART), "--namespace", "models"]
    return helm(*where, *versions, *files, "-f", "-", *more, values=values)


def render(preset: str = "", *settings: str, values: str = "", kubernetes: str = "1.34") -> str:
    done = template(preset, *settings, values=values, kubernetes=kubernetes)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(preset: str = "", *settings: str, **options: str) -> list[Document]:
    text = render(preset, *settings, **options)
    return [document for document in yaml.safe_load_all(text) if document]


def refusal(preset: str = "", *settings: str, values: str = "", kubernetes: str = "1.34") -> str:
    """What helm says when it must not render."""
    done = template(preset, *settings, values=values, kubernetes=kubernetes)
    assert done.returncode != 0, "rendered, although these values cannot work"
    return done.stderr


def of_kind(kind: str, found: list[Document]) -> Document:
    """The only document of a kind."""
    (only,) = [document for document in found if document["kind"] == kind]
    return only


def server_of(found: list[Document]) -> Document:
    """The server's container."""
    (container,) = of_kind("Deployment", found)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def environment_of(container: Document) -> dict[str, str]:
    """Plain variables; those from secrets are left out."""
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def is_custom(document: Document) -> bool:
    return document["apiVersion"] in CUSTOM_APIS
