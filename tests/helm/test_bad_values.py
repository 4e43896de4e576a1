"""Values that cannot work stop `helm template`, with a sentence that says what to change."""

import pytest

from tests.helm.chart import refusal, template

# What is set, on which preset; what must be said: the trouble and the remedy.
SENTENCES = {
    "both autoscalers": (
        ("keda", "autoscaling.hpa.enabled=true"),
        "autoscaling.hpa.enabled and autoscaling.keda.enabled are both true",
        "set one of them to false",
    ),
    "no room to scale": (
        ("hpa", "autoscaling.minReplicas=9"),
        "autoscaling.minReplicas (9) is above autoscaling.maxReplicas (8)",
        "raise maxReplicas",
    ),
    "KEDA without Prometheus": (
        ("keda", "autoscaling.keda.prometheusAddress="),
        "needs to know where Prometheus is",
        "set autoscaling.keda.prometheusAddress",
    ),
    "a fallback beyond the limit": (
        ("keda", "autoscaling.keda.fallback.replicas=21"),
        "fallback.replicas (21) is above autoscaling.maxReplicas (20)",
        "raise maxReplicas",
    ),
    "an autoscaler without a metric": (
        ("hpa", "autoscaling.hpa.metricName=", "autoscaling.cpuUtilizationPercent=null"),
        "autoscaling.hpa has nothing to scale by",
        "set autoscaling.hpa.metricName",
    ),
    "a share of nothing": (
        ("hpa", "resources.requests.cpu="),
        "is a share of what is requested",
        "set resources.requests.cpu",
    ),
    "a GPU provider without a GPU": (
        ("gpu", "gpu.enabled=false"),
        "server.provider is cuda, but the pods ask for no GPU",
        "set gpu.enabled to true",
    ),
    "a GPU without a resource": (
        ("gpu", "gpu.resourceName="),
        "gpu.resourceName is empty",
        "set it to nvidia.com/gpu",
    ),
    "a GPU that nothing uses": (
        ("gpu", "server.provider=cpu"),
        "every pod would hold a GPU that nothing uses",
        "set server.provider to cuda",
    ),
    "a grace period shorter than the drain": (
        ("", "terminationGracePeriodSeconds=30"),
        "terminationGracePeriodSeconds (30) is shorter than the drain, which may take 40 s",
        "set it to 40 or more",
    ),
    "a drain shorter than a request": (
        ("", "server.requestTimeoutS=120"),
        "server.graceS (30) is shorter than server.requestTimeoutS (120)",
        "raise server.graceS to 120",
    ),
    "a model without a checksum": (
        ("", "models[0].source=url", "models[0].name=a", "models[0].url=https://b.example/a.tar"),
        "models[0]: a model from a URL needs name, url and sha256",
        "`sha256sum` of the archive prints it",
    ),
    "a volume without a claim": (
        ("", "models[0].source=pvc"),
        "models[0]: a model from a volume needs claimName",
        "the PersistentVolumeClaim",
    ),
    "an image without a name": (
        ("", "models[0].source=image", "models[0].name=a"),
        "models[0]: a model from an image needs reference",
        "such as registry.example",
    ),
    "a repository with company": (
        ("pvc", "models[1].source=pvc", "models[1].claimName=other", "models[1].name=digits"),
        "models[0] has no name, so it is mounted as the whole repository",
        "name it, or make it the only entry",
    ),
    "a model twice": (
        ("keda", "models[1].name=digits"),
        "models[1]: digits is listed twice",
        "one entry brings all versions",
    ),
    "control without a token": (
        ("locked-down", "adminToken.existingSecret="),
        "everybody who reaches the server could load and unload models",
        "set adminToken.existingSecret",
    ),
    "one port for two": (
        ("", "server.metricsPort=8000"),
        "server.port and server.metricsPort are both 8000",
        "set metricsPort to 0",
    ),
    "front ends without workers": (
        ("", "server.isolation=none", "server.frontends=2"),
        "server.frontends shares worker processes",
        "set isolation to process",
    ),
    "a setting as a variable": (
        ("", "extraEnv[0].name=SLIPWAY_MAX_QUEUE_WAIT_MS", "extraEnv[0].value=x"),
        "extraEnv holds SLIPWAY_MAX_QUEUE_WAIT_MS",
        "set server.maxQueueWaitMs instead",
    ),
    "an ingress without a host": (
        ("", "ingress.enabled=true"),
        "ingress.enabled is true without a host",
        "set ingress.hosts[0].host",
    ),
    "a route without a gateway": (
        ("", "httpRoute.enabled=true"),
        "httpRoute.enabled is true without a gateway",
        "set httpRoute.parentRefs[0].name",
    ),
    "a share for nobody": (
        ("canary", "httpRoute.canary.serviceName="),
        "httpRoute.canary.weightPercent is 10, but nobody is there to get it",
        "set httpRoute.canary.serviceName",
    ),
    "two monitors": (
        ("keda", "metrics.podMonitor.enabled=true"),
        "every pod would be counted twice",
        "set one of them to false",
    ),
    "a moving tag, locked down": (
        ("locked-down", "image.digest=", "image.tag=latest"),
        "image.tag latest may be another image tomorrow, which lockedDown.enabled does not allow",
        "set image.digest, or a tag that stays",
    ),
    "a model image without a digest, locked down": (
        (
            "image-volume",
            "models[0].reference=registry.example/digits:1",
            "lockedDown.enabled=true",
        ),
        "models[0].reference has no digest",
        "end it with @sha256:",
    ),
    "an open network, locked down": (
        ("locked-down", "networkPolicy.enabled=false"),
        "lockedDown.enabled asks for networkPolicy.enabled",
        "set it to true",
    ),
    "callers from everywhere, locked down": (
        ("locked-down", "networkPolicy.allowFrom=null"),
        "lockedDown.enabled asks for networkPolicy.allowFrom",
        "list those who may send requests",
    ),
    "a writable root, locked down": (
        ("locked-down", "containerSecurityContext.readOnlyRootFilesystem=false"),
        "asks for containerSecurityContext.readOnlyRootFilesystem",
        "set it to true",
    ),
    "root, locked down": (
        ("locked-down", "podSecurityContext.runAsNonRoot=false"),
        "asks for runAsNonRoot",
        "set both to true",
    ),
    "no limits, locked down": (
        ("locked-down", "resources.limits.memory="),
        "lockedDown.enabled asks for limits",
        "set resources.limits.cpu and resources.limits.memory",
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_what_cannot_work_is_refused_with_the_remedy(case: str) -> None:
    (preset, *settings), trouble, remedy = SENTENCES[case]
    said = refusal(preset, *settings)
    assert "These values cannot be installed:" in said
    line = next((line for line in said.splitlines() if trouble in line), "")
    assert line, said
    assert remedy in line


def test_all_troubles_are_told_at_once() -> None:
    said = refusal("keda", "autoscaling.hpa.enabled=true", "server.graceS=10")
    assert said.count("\n- ") == 2


# What the schema refuses: it names the place, and what may stand there.
SCHEMA = {
    "an unknown key": (("replicas=3",), "(root): Additional property replicas is not allowed"),
    "an unknown setting": (
        ("server.maxQueue=5",),
        "server: Additional property maxQueue is not allowed",
    ),
    "an unknown key deep inside": (
        ("autoscaling.keda.fallback.replica=3",),
        "autoscaling.keda.fallback: Additional property replica is not allowed",
    ),
    "an unknown key of a model": (
        ("models[0].source=url", "models[0].uri=x"),
        "models.0: Additional property uri is not allowed",
    ),
    "a word for a number": (("server.port=http",), "server.port: Invalid type"),
    "a port beyond the last": (
        ("server.port=70000",),
        "server.port: Must be less than or equal to 65535",
    ),
    "a setting beyond the server's own limit": (
        ("server.maxQueueWaitMs=0",),
        "server.maxQueueWaitMs: Must be greater than 0",
    ),
    "an unknown provider": (
        ("server.provider=rocm",),
        'server.provider: server.provider must be one of the following: "cpu", "cuda", "tensorrt"',
    ),
    "a short checksum": (
        ("models[0].source=url", "models[0].sha256=abc"),
        "models.0.sha256: Does not match pattern",
    ),
    "more than everything": (
        ("httpRoute.canary.weightPercent=101",),
        "weightPercent: Must be less than or equal to 100",
    ),
}


@pytest.mark.parametrize("case", SCHEMA)
def test_what_the_schema_refuses_is_named_with_its_place(case: str) -> None:
    settings, said = SCHEMA[case]
    assert said in refusal("", *settings)


@pytest.mark.parametrize("preset", ["keda", "hpa", "canary", "kserve"])
def test_a_resource_that_the_cluster_does_not_know_is_refused(preset: str) -> None:
    done = template(preset, apis=False)
    assert done.returncode != 0
    assert "but the cluster does not know" in done.stderr
    assert "or set forceCustomResources to true" in done.stderr
    assert template(preset, "forceCustomResources=true", apis=False).returncode == 0
