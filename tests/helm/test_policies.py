"""checkov's policies for manifests, over every preset, but for those that are refused here with a reason."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.helm.chart import PRESETS, render
from tests.tools import tool

# Policy → where it does not hold, and why. One that nothing fails any more must leave the list.
SKIPPED = {
    "CKV_K8S_8": ("Pod", "the pod of `helm test` runs once and ends"),
    "CKV_K8S_9": ("Pod", "the pod of `helm test` runs once and ends"),
    "CKV_K8S_15": (
        "",
        "IfNotPresent: a pinned image is the same one, a registry that is away stops no pod",
    ),
    "CKV_K8S_35": ("", "the admin token is read from the environment alone, like every setting"),
    "CKV_K8S_43": ("", "the digest is the platform's to choose; lockedDown refuses tags that move"),
    "CKV2_K8S_6": (
        "",
        "a network policy needs to know the callers; networkPolicy.enabled renders one",
    ),
}


def _failed(folder: Path) -> dict[str, set[str]]:
    """Policy → the resources that fail it, of every file in `folder`."""
    options = ["--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "-o", "json"]
    done = subprocess.run(
        [str(tool("checkov")), "-d", str(folder), *options],
        env={**os.environ, "BC_SKIP_MAPPING": "TRUE"},
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 100, "it found little to look at"
    assert report["summary"]["parsing_errors"] == 0
    found: dict[str, set[str]] = {}
    for check in report["results"]["failed_checks"]:
        where = f"{check['resource']} ({Path(check['file_path']).stem}): {check['check_name']}"
        found.setdefault(check["check_id"], set()).add(where)
    return found


@pytest.mark.slow
def test_policies_hold_but_for_those_skipped_with_a_reason(tmp_path: Path) -> None:
    for preset in PRESETS:
        # Rules and dashboards hold nothing that a policy is about, and take long to read.
        without = ("metrics.prometheusRule.enabled=false", "metrics.dashboards.enabled=false")
        (tmp_path / f"{preset}.yaml").write_text(render(preset, *without))
    failed = _failed(tmp_path)
    unexplained = {
        policy: sorted(resource for resource in resources if not _is_skipped(policy, resource))
        for policy, resources in failed.items()
    }
    assert {policy: resources for policy, resources in unexplained.items() if resources} == {}
    assert set(SKIPPED) <= set(failed)


def _is_skipped(policy: str, resource: str) -> bool:
    kind, _ = SKIPPED.get(policy, ("nothing", ""))
    return resource.startswith(kind)
