"""What is said after an install: where to ask, and what an operator should know. `helm template` renders
the notes but never prints them, so a copy of the chart renders them into an object as well."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import CHART, CUSTOM_APIS, helm

_OBJECT = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: notes
data:
  text: {{ tpl (.Files.Get "notes") . | quote }}
"""


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = Path(shutil.copytree(CHART, tmp_path_factory.mktemp("notes") / "slipway"))
    shutil.copy(copy / "templates" / "NOTES.txt", copy / "notes")
    (copy / "templates" / "notes.yaml").write_text(_OBJECT)
    return copy


def _notes(chart: Path, preset: str, *settings: str) -> str:
    files = ["-f", str(CHART / "ci" / f"{preset}-values.yaml")] if preset else []
    more = [part for setting in settings for part in ("--set", setting)]
    known = [part for api in CUSTOM_APIS for part in ("--api-versions", api)]
    versions = ["--kube-version", "1.34.0", *known, "--namespace", "models"]
    where = ["template", "release", str(chart), "--show-only", "templates/notes.yaml"]
    done = helm(*where, *versions, *files, *more)
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["data"]["text"])


def _warnings(notes: str) -> list[str]:
    return [line for line in notes.splitlines() if line.startswith("WARNING: ")]


@pytest.mark.parametrize("preset", ["gpu", "keda", "hpa", "pvc", "image-volume", "locked-down"])
def test_sound_presets_are_not_warned_about(chart: Path, preset: str) -> None:
    assert _warnings(_notes(chart, preset)) == []


def test_notes_say_where_and_what(chart: Path) -> None:
    notes = _notes(chart, "keda")
    assert "kubectl -n models port-forward service/release-slipway 8000:80" in notes
    assert "helm -n models test release" in notes
    assert "digits (url), language-id (url)" in notes
    assert "3 to 20, by KEDA" in notes
    assert "http://release-slipway-metrics.models:9090/metrics" in notes
    assert "https://predict.example" in _notes(chart, "hpa")
    assert "2 to 8, by a HorizontalPodAutoscaler" in _notes(chart, "hpa")


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        (("models=null",), "models is empty: the server will answer, but knows nothing"),
        (("replicaCount=1",), "there is one pod at most"),
        (("image.tag=latest",), "image.tag is latest"),
        (("resources.limits.memory=",), "resources.limits.memory is not set"),
        (("resources.limits.cpu=",), "resources.limits.cpu is not set"),
        (
            ("networkPolicy.enabled=true", "server.otlpEndpoint=http://collector:4318"),
            "server.otlpEndpoint is set, but networkPolicy.extraEgress lets nothing reach it",
        ),
    ],
)
def test_an_operator_is_warned(chart: Path, settings: tuple[str, ...], warning: str) -> None:
    (only,) = _warnings(_notes(chart, "pvc", *settings))
    assert warning in only
