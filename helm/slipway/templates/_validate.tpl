{{- /*
Values that cannot work together stop the rendering: all of them at once, each with what to change. Types, limits
and unknown keys are the schema's part (values.schema.json), which Helm looks at before.
*/ -}}
{{- define "slipway.validate" -}}
{{- $checks := list "autoscaling" "gpu" "ending" "models" "server" "routes" "metrics" "lockedDown" -}}
{{- $found := list -}}
{{- range $checks -}}
{{- range include (printf "slipway.validate.%s" .) $ | splitList "\n" -}}
{{- with trim . }}{{ $found = append $found . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if $found -}}
{{- printf "\n\nThese values cannot be installed:\n- %s\n" (join "\n- " $found) | fail -}}
{{- end -}}
{{- end }}

{{- define "slipway.validate.autoscaling" -}}
{{- with .Values.autoscaling }}
{{- if and .hpa.enabled .keda.enabled }}
autoscaling.hpa.enabled and autoscaling.keda.enabled are both true, and would fight over the number of pods: set one of them to false
{{- end }}
{{- if and (or .hpa.enabled .keda.enabled) (gt (int .minReplicas) (int .maxReplicas)) }}
autoscaling.minReplicas ({{ .minReplicas }}) is above autoscaling.maxReplicas ({{ .maxReplicas }}): raise maxReplicas or lower minReplicas
{{- end }}
{{- if and .keda.enabled (not .keda.prometheusAddress) }}
autoscaling.keda needs to know where Prometheus is: set autoscaling.keda.prometheusAddress, such as http://prometheus.monitoring:9090
{{- end }}
{{- if and .keda.enabled (gt (int .keda.fallback.replicas) (int .maxReplicas)) }}
autoscaling.keda.fallback.replicas ({{ .keda.fallback.replicas }}) is above autoscaling.maxReplicas ({{ .maxReplicas }}): lower it, or raise maxReplicas
{{- end }}
{{- if and .hpa.enabled (not .hpa.metricName) (not .cpuUtilizationPercent) }}
autoscaling.hpa has nothing to scale by: set autoscaling.hpa.metricName or autoscaling.cpuUtilizationPercent
{{- end }}
{{- if and (or .hpa.enabled .keda.enabled) .cpuUtilizationPercent (not (dig "requests" "cpu" "" $.Values.resources)) }}
autoscaling.cpuUtilizationPercent is a share of what is requested: set resources.requests.cpu
{{- end }}
{{- end }}
{{- end }}

{{- define "slipway.validate.gpu" -}}
{{- $provider := .Values.server.provider }}
{{- if and (ne $provider "cpu") (not .Values.gpu.enabled) }}
server.provider is {{ $provider }}, but the pods ask for no GPU: set gpu.enabled to true (and gpu.resourceName, if yours is not nvidia.com/gpu), or server.provider to cpu
{{- end }}
{{- if and .Values.gpu.enabled (eq $provider "cpu") }}
gpu.enabled is true, but server.provider is cpu, so that every pod would hold a GPU that nothing uses: set server.provider to cuda, or gpu.enabled to false
{{- end }}
{{- if and .Values.gpu.enabled (not .Values.gpu.resourceName) }}
gpu.enabled is true, but gpu.resourceName is empty, so that no GPU would be asked for: set it to nvidia.com/gpu or to the name of your MIG slice
{{- end }}
{{- end }}

{{- define "slipway.validate.ending" -}}
{{- $least := include "slipway.leastGracePeriod" . | int }}
{{- $given := .Values.terminationGracePeriodSeconds }}
{{- if and $given (lt (int $given) $least) }}
terminationGracePeriodSeconds ({{ $given }}) is shorter than the drain, which may take {{ $least }} s (drain.preStopSeconds {{ .Values.drain.preStopSeconds }} + server.lameDuckS {{ .Values.server.lameDuckS }} + server.graceS {{ .Values.server.graceS }} + 5): set it to {{ $least }} or more, or leave it empty
{{- end }}
{{- if gt (float64 .Values.server.requestTimeoutS) (float64 .Values.server.graceS) }}
server.graceS ({{ .Values.server.graceS }}) is shorter than server.requestTimeoutS ({{ .Values.server.requestTimeoutS }}), so that requests which were accepted just before the end would be cut off: raise server.graceS to {{ .Values.server.requestTimeoutS }} or more
{{- end }}
{{- end }}

{{- define "slipway.validate.models" -}}
{{- $names := list }}
{{- range $i, $model := .Values.models }}
{{- $which := printf "models[%d]" $i }}
{{- if and (eq $model.source "url") (not (and $model.name $model.url $model.sha256)) }}
{{ $which }}: a model from a URL needs name, url and sha256 (`sha256sum` of the archive prints it)
{{- else if and (eq $model.source "pvc") (not $model.claimName) }}
{{ $which }}: a model from a volume needs claimName, the PersistentVolumeClaim that holds it
{{- else if and (eq $model.source "image") (not $model.reference) }}
{{ $which }}: a model from an image needs reference, such as registry.example/models/digits@sha256:…
{{- end }}
{{- if and (eq $model.source "image") (semverCompare "<1.31.0-0" $.Capabilities.KubeVersion.Version) }}
{{ $which }}: image volumes need Kubernetes 1.31 or newer (and the feature ImageVolume, on by default from 1.35), this cluster is {{ $.Capabilities.KubeVersion.Version }}: use source url or pvc
{{- end }}
{{- if and (not $model.name) (gt (len $.Values.models) 1) }}
{{ $which }} has no name, so it is mounted as the whole repository and can have no company: name it, or make it the only entry
{{- end }}
{{- if and $model.name (has $model.name $names) }}
{{ $which }}: {{ $model.name }} is listed twice; one entry brings all versions of a model
{{- end }}
{{- $names = append $names $model.name }}
{{- end }}
{{- end }}

{{- define "slipway.validate.server" -}}
{{- if and (eq (default "none" .Values.server.modelControlMode) "explicit") (not .Values.adminToken.existingSecret) }}
server.modelControlMode is explicit, so that everybody who reaches the server could load and unload models: set adminToken.existingSecret
{{- end }}
{{- if eq (int .Values.server.port) (int .Values.server.metricsPort) }}
server.port and server.metricsPort are both {{ .Values.server.port }}: choose two, or set metricsPort to 0 to have both on one
{{- end }}
{{- if and (eq (default "process" .Values.server.isolation) "none") (gt (int (default 1 .Values.server.frontends)) 1) }}
server.frontends shares worker processes, and server.isolation none has none: set isolation to process, or frontends to 1
{{- end }}
{{- range .Values.extraEnv }}
{{- if hasPrefix "SLIPWAY_" .name }}
extraEnv holds {{ .name }}, which is a setting of the server: set server.{{ trimPrefix "SLIPWAY_" .name | lower | camelcase | untitle }} instead
{{- end }}
{{- end }}
{{- end }}

{{- define "slipway.validate.routes" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
ingress.enabled is true without a host: set ingress.hosts[0].host
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
httpRoute.enabled is true without a gateway: set httpRoute.parentRefs[0].name
{{- end }}
{{- if and .Values.httpRoute.canary.weightPercent (not .Values.httpRoute.canary.serviceName) }}
httpRoute.canary.weightPercent is {{ .Values.httpRoute.canary.weightPercent }}, but nobody is there to get it: set httpRoute.canary.serviceName to the Service of the other release
{{- end }}
{{- end }}

{{- define "slipway.validate.metrics" -}}
{{- with .Values.metrics }}
{{- if and .serviceMonitor.enabled .podMonitor.enabled }}
metrics.serviceMonitor and metrics.podMonitor are both enabled, and every pod would be counted twice: set one of them to false
{{- end }}
{{- end }}
{{- end }}

{{- define "slipway.validate.lockedDown" -}}
{{- if .Values.lockedDown.enabled }}
{{- if and (not .Values.image.digest) (eq (include "slipway.imageTag" .) "latest") }}
image.tag latest may be another image tomorrow, which lockedDown.enabled does not allow: set image.digest, or a tag that stays
{{- end }}
{{- range $i, $model := .Values.models }}
{{- if and (eq $model.source "image") (not (contains "@sha256:" (default "" $model.reference))) }}
models[{{ $i }}].reference has no digest, which lockedDown.enabled asks for: end it with @sha256:…
{{- end }}
{{- end }}
{{- if not .Values.networkPolicy.enabled }}
lockedDown.enabled asks for networkPolicy.enabled: set it to true, and networkPolicy.allowFrom to those who may send requests
{{- else if not .Values.networkPolicy.allowFrom }}
lockedDown.enabled asks for networkPolicy.allowFrom: list those who may send requests
{{- end }}
{{- if not .Values.containerSecurityContext.readOnlyRootFilesystem }}
lockedDown.enabled asks for containerSecurityContext.readOnlyRootFilesystem: set it to true (the server writes to /tmp alone)
{{- end }}
{{- if not (and .Values.podSecurityContext.runAsNonRoot .Values.containerSecurityContext.runAsNonRoot) }}
lockedDown.enabled asks for runAsNonRoot in podSecurityContext and containerSecurityContext: set both to true
{{- end }}
{{- if not (and (dig "limits" "cpu" "" .Values.resources) (dig "limits" "memory" "" .Values.resources)) }}
lockedDown.enabled asks for limits: set resources.limits.cpu and resources.limits.memory
{{- end }}
{{- end }}
{{- end }}

{{- /* (list . API value name): a resource that the cluster does not know fails here, not half-way through an install. */ -}}
{{- define "slipway.requireApi" -}}
{{- $root := index . 0 -}}
{{- if not (or $root.Values.forceCustomResources ($root.Capabilities.APIVersions.Has (index . 1))) -}}
{{- printf "\n\n%s is enabled, but the cluster does not know %s: install %s first, or set forceCustomResources to true to render all the same (`helm template` asks no cluster: give it --api-versions %s)\n" (index . 2) (index . 1) (index . 3) (index . 1) | fail -}}
{{- end -}}
{{- end }}
