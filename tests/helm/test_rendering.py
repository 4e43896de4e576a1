"""Every preset lints, renders, and renders what it rendered when somebody last looked."""

import os
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import CHART, PRESETS, documents, helm, render, template

GOLDEN = Path(__file__).parent / "golden"
WANTED = {"cpu-minimal", "gpu", "keda", "hpa", "pvc", "image-volume", "locked-down"}


def test_every_way_to_install_has_a_preset() -> None:
    assert set(PRESETS) >= WANTED


@pytest.mark.parametrize("preset", ["", *PRESETS])
def test_lint_finds_nothing(preset: str) -> None:
    files = ["-f", str(CHART / "ci" / f"{preset}-values.yaml")] if preset else []
    done = helm("lint", "--strict", str(CHART), *files, "--set", "forceCustomResources=true")
    assert done.returncode == 0, done.stdout
    assert "[ERROR]" not in done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_renders_what_was_looked_at(preset: str) -> None:
    """`GOLDEN=write pytest tests/helm/test_rendering.py` takes the present rendering; read the diff."""
    # Rules and dashboards are whole files, which have tests of their own; here they would only be copies.
    rendered = render(
        preset, "metrics.prometheusRule.enabled=false", "metrics.dashboards.enabled=false"
    )
    golden = GOLDEN / f"{preset}.yaml"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_no_golden_file_outlives_its_preset() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == PRESETS


def test_no_two_objects_share_a_name() -> None:
    for preset in PRESETS:
        names = [(d["apiVersion"], d["kind"], d["metadata"]["name"]) for d in documents(preset)]
        assert len(names) == len(set(names))


def test_the_chart_can_be_packed(tmp_path: Path) -> None:
    done = helm("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["slipway-0.1.0.tgz"]


def test_an_older_kubernetes_is_refused() -> None:
    done = template(kubernetes="1.29")
    assert done.returncode != 0
    assert "incompatible with Kubernetes" in done.stderr


@pytest.mark.parametrize("release", ["slipway", "a" * 53, "team-slipway-blue"])
def test_names_stay_within_kubernetes_limits(release: str) -> None:
    preset = str(CHART / "ci" / "locked-down-values.yaml")
    done = helm("template", release, str(CHART), "--kube-version", "1.34.0", "-f", preset)
    assert done.returncode == 0, done.stderr
    found = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert found
    for document in found:
        labels = document["metadata"]["labels"].values()
        assert all(len(text) <= 63 for text in (document["metadata"]["name"], *labels))
