"""What the parts of the chart promise each other: names that meet, ports that exist, nothing lost."""

import math
from typing import Any

import pytest

from tests.helm.chart import (
    CHART,
    PRESETS,
    Document,
    documents,
    environment_of,
    of_kind,
    render,
    server_of,
)

# Until every load balancer knows that a pod is leaving; see the chart's README.
_PROPAGATION_S = 5
DEPLOYED = [preset for preset in PRESETS if preset != "kserve"]


def _pod(found: list[Document]) -> Document:
    return dict(of_kind("Deployment", found)["spec"]["template"])


def _matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def _kinds(found: list[Document], *kinds: str) -> list[Document]:
    return [document for document in found if document["kind"] in kinds]


# -- names that meet ---------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", DEPLOYED)
def test_every_selector_finds_the_servers_pods_and_no_others(preset: str) -> None:
    found = documents(preset)
    labels = _pod(found)["metadata"]["labels"]
    selectors = [of_kind("Deployment", found)["spec"]["selector"]["matchLabels"]]
    selectors += [d["spec"]["selector"] for d in _kinds(found, "Service")]
    selectors += [
        d["spec"]["selector"]["matchLabels"] for d in _kinds(found, "PodDisruptionBudget")
    ]
    selectors += [d["spec"]["podSelector"]["matchLabels"] for d in _kinds(found, "NetworkPolicy")]
    selectors += [
        constraint["labelSelector"]["matchLabels"]
        for constraint in _pod(found)["spec"]["topologySpreadConstraints"]
    ]
    assert len(selectors) >= 5
    assert all(_matches(selector, labels) for selector in selectors)
    test = of_kind("Pod", found)["metadata"]["labels"]
    assert not any(_matches(selector, test) for selector in selectors)


def test_a_second_release_is_told_apart() -> None:
    labels = _pod(documents("hpa"))["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == "release"
    selector = of_kind("Deployment", documents("hpa"))["spec"]["selector"]["matchLabels"]
    assert selector["app.kubernetes.io/instance"] == "release"


@pytest.mark.parametrize("preset", DEPLOYED)
def test_every_port_that_is_named_is_declared(preset: str) -> None:
    found = documents(preset)
    declared = {port["name"]: port["containerPort"] for port in server_of(found)["ports"]}
    environment = environment_of(server_of(found))
    assert str(declared["http"]) == environment["SLIPWAY_PORT"]
    assert str(declared["metrics"]) == environment["SLIPWAY_METRICS_PORT"]
    probes = [server_of(found)[f"{name}Probe"] for name in ("startup", "liveness", "readiness")]
    used = [probe["httpGet"]["port"] for probe in probes]
    used += [port["targetPort"] for d in _kinds(found, "Service") for port in d["spec"]["ports"]]
    for policy in _kinds(found, "NetworkPolicy"):
        used += [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    for monitor in _kinds(found, "PodMonitor"):
        used += [endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]]
    assert len(used) >= 5
    assert set(used) <= set(declared)


def test_the_service_monitor_finds_the_metrics_service_alone() -> None:
    found = documents("keda")
    monitor = of_kind("ServiceMonitor", found)["spec"]
    chosen = [
        service
        for service in _kinds(found, "Service")
        if _matches(monitor["selector"]["matchLabels"], service["metadata"]["labels"])
    ]
    assert [service["metadata"]["name"] for service in chosen] == ["release-slipway-metrics"]
    ports = [port["name"] for port in chosen[0]["spec"]["ports"]]
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == ports


def test_routes_lead_to_the_service_for_requests() -> None:
    (rule,) = of_kind("Ingress", documents("hpa"))["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "release-slipway", "port": {"name": "http"}}
    (rule,) = of_kind("HTTPRoute", documents("canary"))["spec"]["rules"]
    weights = {ref["name"]: (ref["port"], ref["weight"]) for ref in rule["backendRefs"]}
    assert weights == {"release-slipway": (80, 90), "canary-slipway": (80, 10)}


def test_metrics_without_a_port_of_their_own_are_scraped_at_the_main_one() -> None:
    found = documents("hpa", "server.metricsPort=0")
    assert [port["name"] for port in server_of(found)["ports"]] == ["http"]
    monitor = of_kind("PodMonitor", found)["spec"]["podMetricsEndpoints"]
    assert [endpoint["port"] for endpoint in monitor] == ["http"]
    metrics = [d for d in _kinds(found, "Service") if d["metadata"]["name"].endswith("-metrics")]
    assert metrics[0]["spec"]["ports"][0] | {"name": ""} == {
        "name": "", "port": 8000, "targetPort": "http", "appProtocol": "http"
    }  # fmt: skip


# -- who decides how many ----------------------------------------------------------------------------


@pytest.mark.parametrize("preset", DEPLOYED)
def test_an_autoscaler_owns_the_number_of_pods(preset: str) -> None:
    found = documents(preset)
    deployment = of_kind("Deployment", found)
    scalers = _kinds(found, "HorizontalPodAutoscaler", "ScaledObject")
    assert ("replicas" in deployment["spec"]) == (not scalers)
    for scaler in scalers:
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]


def test_keda_does_not_take_silence_for_no_load() -> None:
    spec = of_kind("ScaledObject", documents("keda"))["spec"]
    prometheus = [trigger for trigger in spec["triggers"] if trigger["type"] == "prometheus"]
    assert [trigger["metadata"]["ignoreNullValues"] for trigger in prometheus] == ["false", "false"]
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    # The fallback takes hold of triggers with an average only, and needs one.
    assert "AverageValue" in [trigger["metricType"] for trigger in prometheus]


@pytest.mark.parametrize("preset", DEPLOYED)
def test_a_budget_is_there_exactly_where_several_pods_can_be(preset: str) -> None:
    assert len(_kinds(documents(preset), "PodDisruptionBudget")) == (preset != "cpu-minimal")


# -- ending ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", DEPLOYED)
def test_a_rollout_loses_no_request_by_arithmetic(preset: str) -> None:
    found = documents(preset)
    server, environment = server_of(found), environment_of(server_of(found))
    pause = server["lifecycle"]["preStop"]["sleep"]["seconds"]
    lame_duck, grace = (float(environment[f"SLIPWAY_{name}_S"]) for name in ("LAME_DUCK", "GRACE"))
    assert pause + lame_duck >= _PROPAGATION_S
    assert grace >= float(environment["SLIPWAY_REQUEST_TIMEOUT_S"])
    limit = _pod(found)["spec"]["terminationGracePeriodSeconds"]
    assert limit >= math.ceil(pause + lame_duck + grace + 5)
    if preset != "gpu":  # where a further pod would need a further GPU
        strategy = of_kind("Deployment", found)["spec"]["strategy"]["rollingUpdate"]
        assert strategy == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_gpu_rollout_does_not_wait_for_a_gpu_that_is_not_there() -> None:
    strategy = of_kind("Deployment", documents("gpu"))["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}


def test_the_grace_period_follows_the_drain() -> None:
    found = documents(values="server: {graceS: 90, lameDuckS: 2.5}\ndrain: {preStopSeconds: 10}")
    assert _pod(found)["spec"]["terminationGracePeriodSeconds"] == 108


@pytest.mark.parametrize("preset", DEPLOYED)
def test_liveness_does_not_depend_on_models_or_load(preset: str) -> None:
    server = server_of(documents(preset))
    assert server["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert server["startupProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert server["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert server["livenessProbe"]["timeoutSeconds"] >= 5


# -- models ------------------------------------------------------------------------------------------


def _mounts(container: Document) -> dict[str, Document]:
    return {mount["mountPath"]: mount for mount in container["volumeMounts"]}


@pytest.mark.parametrize("preset", DEPLOYED)
def test_every_mount_has_its_volume_and_models_are_read_only(preset: str) -> None:
    found = documents(preset)
    spec = _pod(found)["spec"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    models = [
        mount for path, mount in _mounts(server_of(found)).items() if path.startswith("/models")
    ]
    assert models
    assert all(mount["readOnly"] for mount in models)


def test_fetched_models_are_mounted_where_their_init_container_puts_them() -> None:
    found = documents("keda")
    mounts = _mounts(server_of(found))
    assert mounts["/models/digits"]["subPath"] == "digits"
    assert mounts["/models/language-id"]["subPath"] == "language-id"
    fetchers = _pod(found)["spec"]["initContainers"]
    assert [_mounts(fetcher)["/models"]["name"] for fetcher in fetchers] == ["models", "models"]
    assert environment_of(server_of(found))["SLIPWAY_MODEL"] == "digits,language-id"


def test_a_whole_repository_is_mounted_as_such() -> None:
    found = documents("pvc")
    assert _mounts(server_of(found))["/models"]["subPath"] == "production"
    assert "SLIPWAY_MODEL" not in environment_of(server_of(found))


def test_image_volumes_are_pinned_and_mounted_by_name() -> None:
    found = documents("image-volume")
    volumes = {v["name"]: v["image"] for v in _pod(found)["spec"]["volumes"] if "image" in v}
    assert all("@sha256:" in image["reference"] for image in volumes.values())
    assert {"/models/digits", "/models/language-id"} <= set(_mounts(server_of(found)))


def test_a_download_token_reaches_its_init_container_alone() -> None:
    found = documents("gpu")
    spec = _pod(found)["spec"]
    (fetcher,) = spec["initContainers"]
    assert "--token-file=/run/secrets/slipway/token" in fetcher["args"]
    assert "/run/secrets/slipway" in _mounts(fetcher)
    assert "/run/secrets/slipway" not in _mounts(server_of(found))


# -- hardware ----------------------------------------------------------------------------------------


def test_a_gpu_is_asked_for_by_its_name() -> None:
    assert server_of(documents("gpu"))["resources"]["limits"]["nvidia.com/gpu"] == 1
    slice_ = server_of(documents("gpu", r"gpu.resourceName=nvidia.com/mig-1g\.10gb"))["resources"]
    assert slice_["limits"]["nvidia.com/mig-1g.10gb"] == 1
    assert "nvidia.com/gpu" not in slice_["limits"]
    assert server_of(documents("gpu"))["image"].endswith("-gpu")


# -- security ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", DEPLOYED)
def test_no_container_can_write_or_gain_rights(preset: str) -> None:
    found = documents(preset)
    specs: list[dict[str, Any]] = [_pod(found)["spec"], of_kind("Pod", found)["spec"]]
    for spec in specs:
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}


def test_the_network_policy_tells_callers_from_scrapers() -> None:
    policy = of_kind("NetworkPolicy", documents("locked-down"))["spec"]
    sources = {rule["ports"][0]["port"]: rule["from"] for rule in policy["ingress"]}
    namespaces = {
        port: [p["namespaceSelector"]["matchLabels"] for p in peers if "namespaceSelector" in p]
        for port, peers in sources.items()
    }
    name = "kubernetes.io/metadata.name"
    assert namespaces == {"http": [{name: "gateway"}], "metrics": [{name: "monitoring"}]}
    test = of_kind("Pod", documents("locked-down"))["metadata"]["labels"]
    for peers in sources.values():
        assert any(_matches(p.get("podSelector", {}).get("matchLabels", {}), test) for p in peers)
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53, 443, 4318}


def test_nothing_leaves_where_nothing_has_to() -> None:
    policy = of_kind("NetworkPolicy", documents("pvc", "networkPolicy.enabled=true"))["spec"]
    assert policy["egress"] == []
    assert policy["policyTypes"] == ["Ingress", "Egress"]


# -- files of the chart ------------------------------------------------------------------------------


def test_rules_are_installed_as_they_were_tested() -> None:
    rendered = render("keda")
    files = sorted((CHART / "rules").glob("*.yaml"))
    assert files
    for file in files:
        lines = [f"  {line}".rstrip() for line in file.read_text().splitlines()]
        assert "\n".join(lines) in "\n".join(line.rstrip() for line in rendered.splitlines())


def test_dashboards_are_installed_whole() -> None:
    maps = {d["metadata"]["name"]: d["data"] for d in documents("keda") if d["kind"] == "ConfigMap"}
    files = sorted((CHART / "dashboards").glob("*.json"))
    assert files
    for file in files:
        data = maps[f"release-slipway-dashboard-{file.stem}"]
        assert data[file.name].strip() == file.read_text().strip()
        assert len(data[file.name].encode()) < 1 << 20


def test_extra_objects_are_templates() -> None:
    extra = of_kind("ConfigMap", documents("canary"))
    assert extra["metadata"]["name"] == "release-slipway-about"
    assert extra["metadata"]["labels"]["app.kubernetes.io/instance"] == "release"
