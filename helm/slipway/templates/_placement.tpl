{{- define "slipway.topologySpread" -}}
{{- if .Values.topologySpreadConstraints -}}
topologySpreadConstraints:
  {{- toYaml .Values.topologySpreadConstraints | nindent 2 }}
{{- else if .Values.topologySpread.enabled -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: {{ $.Values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "slipway.serverLabels" $ | nindent 8 }}
    # Each revision for itself, or the pods that are about to go would push the new ones together.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}
{{- end }}
