{{- /*
Every value under `server` that is not null, as the variable that the server reads: maxQueueWaitMs is
SLIPWAY_MAX_QUEUE_WAIT_MS. Numbers come as floats and would be printed as 6.7108864e+07, which is no integer.
*/ -}}
{{- define "slipway.settings" -}}
{{- $settings := deepCopy .Values.server -}}
{{- if and (kindIs "invalid" $settings.model) (ne (include "slipway.modelNames" .) "") -}}
{{- /* Ready only when all of them are, also where a volume turns out to be empty. */ -}}
{{- $_ := set $settings "model" (include "slipway.modelNames" .) -}}
{{- end -}}
{{- range $key, $value := $settings }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ printf "SLIPWAY_%s" ($key | snakecase | upper) }}
  {{- if kindIs "slice" $value }}
  value: {{ join "," $value | quote }}
  {{- else if and (kindIs "float64" $value) (eq (floor $value) $value) }}
  value: {{ $value | int64 | quote }}
  {{- else }}
  value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "slipway.env" -}}
{{- include "slipway.settings" . | trim }}
{{- with .Values.adminToken.existingSecret }}
- name: SLIPWAY_ADMIN_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.adminToken.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "slipway.ports" -}}
- name: http
  containerPort: {{ .Values.server.port }}
{{- if .Values.server.metricsPort }}
- name: metrics
  containerPort: {{ .Values.server.metricsPort }}
{{- end }}
{{- end }}

{{- /* GPUs are a limit; Kubernetes takes the request from it. */ -}}
{{- define "slipway.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if .Values.gpu.enabled -}}
{{- $gpus := dict .Values.gpu.resourceName (.Values.gpu.count | int) -}}
{{- $_ := set $resources "limits" (merge $gpus (default dict $resources.limits)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{- /* What a pod needs from SIGTERM's announcement to the last byte, with five seconds to spare. */ -}}
{{- define "slipway.leastGracePeriod" -}}
{{- $seconds := addf .Values.drain.preStopSeconds .Values.server.lameDuckS .Values.server.graceS 5 -}}
{{- ceil $seconds | int -}}
{{- end }}

{{- define "slipway.gracePeriod" -}}
{{- default (include "slipway.leastGracePeriod" .) .Values.terminationGracePeriodSeconds -}}
{{- end }}

{{- define "slipway.mayHaveSeveralPods" -}}
{{- if or .Values.autoscaling.hpa.enabled .Values.autoscaling.keda.enabled -}}
{{- if gt (int .Values.autoscaling.maxReplicas) 1 }}true{{ end -}}
{{- else if gt (int .Values.replicaCount) 1 -}}
true
{{- end -}}
{{- end }}
