{{- define "slipway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- /* 52 characters at most, so that suffixes (-metrics, -test) and a ReplicaSet's hash still fit. */ -}}
{{- define "slipway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "slipway.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "slipway.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- /* Never changes between versions of the chart: a Deployment's selector cannot. */ -}}
{{- define "slipway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "slipway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Server pods alone: the pod of `helm test` is no end point of the Services. */ -}}
{{- define "slipway.serverLabels" -}}
{{ include "slipway.selectorLabels" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "slipway.labels" -}}
{{ include "slipway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: slipway
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "slipway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "slipway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "slipway.imageTag" -}}
{{- $default := ternary (printf "%s-gpu" .Chart.AppVersion) .Chart.AppVersion .Values.gpu.enabled -}}
{{- default $default .Values.image.tag -}}
{{- end }}

{{- define "slipway.image" -}}
{{- $image := .Values.image -}}
{{- $name := ternary (printf "%s/%s" $image.registry $image.repository) $image.repository (ne $image.registry "") -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (include "slipway.imageTag" .) -}}
{{- end -}}
{{- end }}

{{- /* The name of the container port that answers /metrics. */ -}}
{{- define "slipway.metricsPortName" -}}
{{- ternary "metrics" "http" (gt (int .Values.server.metricsPort) 0) -}}
{{- end }}
