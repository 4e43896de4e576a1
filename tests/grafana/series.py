"""Every series that a query may name, with its labels: the server's own, what the rules record, and what a
cluster's exporters have.
"""

from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from service.observability.families import FAMILIES

RULES = Path(__file__).parents[2] / "helm" / "slipway" / "rules"

TARGET = frozenset(("namespace", "pod", "job", "instance"))
"""Given by the scrape."""

_REPLICAS = ("spec_min_replicas", "spec_max_replicas", "status_current_replicas")
_AUTOSCALER = frozenset(("namespace", "horizontalpodautoscaler"))
_DEPLOYMENT = frozenset(("namespace", "deployment"))
_CONTAINER = TARGET | {"container"}
_GPU = TARGET | {"gpu", "UUID", "GPU_I_ID", "exported_namespace", "exported_pod"}

OTHERS: dict[str, frozenset[str]] = {
    # Prometheus' own.
    "up": TARGET,
    "ALERTS": frozenset(("namespace", "alertname", "alertstate", "severity")),
    # kube-state-metrics: docs/metrics/workload/{deployment,horizontalpodautoscaler}-metrics.md there.
    "kube_deployment_spec_replicas": _DEPLOYMENT,
    "kube_deployment_status_replicas_available": _DEPLOYMENT,
    "kube_horizontalpodautoscaler_info": _AUTOSCALER
    | {"scaletargetref_api_version", "scaletargetref_kind", "scaletargetref_name"},
    **{f"kube_horizontalpodautoscaler_{name}": _AUTOSCALER for name in _REPLICAS},
    # cAdvisor, in the kubelet.
    "container_cpu_cfs_periods_total": _CONTAINER,
    "container_cpu_cfs_throttled_periods_total": _CONTAINER,
    # dcgm-exporter: etc/default-counters.csv there; the profiling field is in etc/dcp-metrics-included.csv.
    "DCGM_FI_DEV_FB_USED": _GPU,
    "DCGM_FI_DEV_FB_FREE": _GPU,
    "DCGM_FI_DEV_GPU_UTIL": _GPU,
    "DCGM_FI_DEV_GPU_TEMP": _GPU,
    "DCGM_FI_DEV_POWER_USAGE": _GPU,
    "DCGM_FI_DEV_XID_ERRORS": _GPU,
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": _GPU,
}


def own() -> dict[str, frozenset[str]]:
    """What `slipway serve` exports."""
    found = {}
    for family in FAMILIES:
        name, labels = f"slipway_{family.name}", TARGET | frozenset(family.labels)
        if family.kind == "histogram":
            found |= {f"{name}_sum": labels, f"{name}_count": labels}
            found[f"{name}_bucket"] = labels | {"le"}
        else:
            found[name] = labels
    return found


def rules() -> list[dict[str, Any]]:
    """All recording and alerting rules."""
    groups = (yaml.safe_load(path.read_text())["groups"] for path in sorted(RULES.glob("*.yaml")))
    return [rule for group in chain.from_iterable(groups) for rule in group["rules"]]


@cache
def labels_of() -> dict[str, frozenset[str]]:
    """By metric. A recorded name's first part says what it is summed up by."""
    levels = {
        "namespace_model": frozenset(("namespace", "model")),
        "namespace_pod": frozenset(("namespace", "pod")),
        "namespace_deployment": _DEPLOYMENT,
        "namespace_pod_gpu": frozenset(("namespace", "pod", "gpu", "UUID", "GPU_I_ID")),
    }
    names = [rule["record"] for rule in rules() if "record" in rule]
    return own() | OTHERS | {name: levels[name.split(":")[0]] for name in names}
