"""What the chart's values may be, beyond the types that their defaults show.

Merged into the generated values.schema.json: path of a value → JSON Schema keywords. Limits of the
server's settings are not here: they are read from the settings themselves.
"""

from typing import Any

_SHA256 = "^[0-9a-f]{64}$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_DNS_LABEL = r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$"
_COUNT_OR_PERCENT = {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%$"}

_MODEL: dict[str, Any] = {
    "type": "object",
    "required": ["source"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": _NAME},
        "source": {"type": "string", "enum": ["url", "pvc", "image"]},
        "url": {"type": "string", "pattern": "^https?://"},
        "sha256": {"type": "string", "pattern": _SHA256},
        "tokenSecret": {
            "type": "object",
            "required": ["name", "key"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "key": {"type": "string"}},
        },
        "claimName": {"type": "string", "minLength": 1},
        "subPath": {"type": "string"},
        "reference": {"type": "string", "minLength": 1},
        "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    },
}

CONSTRAINTS: dict[str, dict[str, Any]] = {
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.repository": {"minLength": 1},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "models": {"items": _MODEL},
    "modelVolume.medium": {"enum": ["", "Memory"]},
    "server.port": {"minimum": 1},
    "replicaCount": {"type": "integer", "minimum": 0},
    "minReadySeconds": {"type": "integer", "minimum": 0},
    "progressDeadlineSeconds": {"type": "integer", "minimum": 1},
    "revisionHistoryLimit": {"type": "integer", "minimum": 0},
    "drain.preStopSeconds": {"type": "integer", "minimum": 0, "maximum": 300},
    "terminationGracePeriodSeconds": {"type": ["integer", "null"], "minimum": 1},
    "autoscaling.minReplicas": {"type": "integer", "minimum": 1},
    "autoscaling.maxReplicas": {"type": "integer", "minimum": 1},
    "autoscaling.targetInFlightPerPod": {"exclusiveMinimum": 0},
    "autoscaling.cpuUtilizationPercent": {"type": ["integer", "null"], "minimum": 1},
    "autoscaling.keda.pollingInterval": {"type": "integer", "minimum": 1},
    "autoscaling.keda.queueWaitP95Seconds": {"minimum": 0},
    "autoscaling.keda.fallback.failureThreshold": {"type": "integer", "minimum": 1},
    "autoscaling.keda.fallback.replicas": {"type": "integer", "minimum": 1},
    "autoscaling.keda.fallback.behavior": {
        "enum": [
            "",
            "static",
            "currentReplicas",
            "currentReplicasIfHigher",
            "currentReplicasIfLower",
        ]
    },
    "podDisruptionBudget.maxUnavailable": _COUNT_OR_PERCENT,
    "gpu.count": {"type": "integer", "minimum": 1},
    "topologySpread.whenUnsatisfiable": {"enum": ["ScheduleAnyway", "DoNotSchedule"]},
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "service.port": {"type": "integer", "minimum": 1, "maximum": 65_535},
    "httpRoute.canary.servicePort": {"type": "integer", "minimum": 1, "maximum": 65_535},
    "httpRoute.canary.weightPercent": {"type": "integer", "minimum": 0, "maximum": 100},
    "networkPolicy.fetchPorts": {"items": {"type": "integer", "minimum": 1, "maximum": 65_535}},
    "nameOverride": {"pattern": _DNS_LABEL},
    "fullnameOverride": {"pattern": _DNS_LABEL},
    "extraObjects": {"items": {"type": ["object", "string"]}},
    "probes": {
        "additionalProperties": False,
        "properties": {name: {"type": "object"} for name in ("startup", "liveness", "readiness")},
    },
    "ingress.hosts": {
        "items": {
            "type": "object",
            "required": ["host"],
            "additionalProperties": False,
            "properties": {
                "host": {"type": "string"},
                "paths": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["path"],
                        "additionalProperties": False,
                        "properties": {
                            "path": {"type": "string", "pattern": "^/"},
                            "pathType": {"enum": ["Prefix", "Exact", "ImplementationSpecific"]},
                        },
                    },
                },
            },
        }
    },
}
