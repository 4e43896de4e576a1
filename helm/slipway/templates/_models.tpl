{{- /*
Every model has a mount of its own at <repository>/<name>, whichever way it comes; one without a name is a whole
repository and the only entry. What comes from URLs shares one emptyDir that init containers have filled.
*/ -}}
{{- define "slipway.modelNames" -}}
{{- $names := list -}}
{{- range .Values.models }}{{ with .name }}{{ $names = append $names . }}{{ end }}{{ end -}}
{{- join "," $names -}}
{{- end }}

{{- define "slipway.hasFetchedModels" -}}
{{- range .Values.models }}{{ if eq .source "url" }}true{{ end }}{{ end -}}
{{- end }}

{{- define "slipway.fetchContainers" -}}
{{- range $i, $model := .Values.models }}
{{- if eq $model.source "url" }}
- name: fetch-{{ $i }}
  image: {{ include "slipway.image" $ }}
  imagePullPolicy: {{ $.Values.image.pullPolicy }}
  command: [slipway]
  args:
    - fetch
    - --repository={{ $.Values.server.repository }}
    - --name={{ $model.name }}
    - --sha256={{ $model.sha256 }}
    {{- if $model.tokenSecret }}
    - --token-file=/run/secrets/slipway/{{ $model.tokenSecret.key }}
    {{- end }}
    - {{ $model.url | quote }}
  {{- with $.Values.fetch.extraEnv }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $.Values.containerSecurityContext | nindent 4 }}
  resources:
    {{- toYaml $.Values.fetch.resources | nindent 4 }}
  volumeMounts:
    - name: models
      mountPath: {{ $.Values.server.repository }}
    - name: tmp
      mountPath: /tmp
    {{- if $model.tokenSecret }}
    - name: token-{{ $i }}
      mountPath: /run/secrets/slipway
      readOnly: true
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "slipway.modelMounts" -}}
{{- $repository := .Values.server.repository -}}
{{- range $i, $model := .Values.models }}
{{- if eq $model.source "url" }}
- name: models
  mountPath: {{ $repository }}/{{ $model.name }}
  subPath: {{ $model.name }}
  readOnly: true
{{- else }}
- name: model-{{ $i }}
  mountPath: {{ $repository }}{{ with $model.name }}/{{ . }}{{ end }}
  {{- with $model.subPath }}
  subPath: {{ . }}
  {{- end }}
  readOnly: true
{{- end }}
{{- else }}
- name: models
  mountPath: {{ $repository }}
{{- end }}
{{- end }}

{{- define "slipway.modelVolumes" -}}
{{- if or (not .Values.models) (include "slipway.hasFetchedModels" .) }}
- name: models
  emptyDir:
    sizeLimit: {{ .Values.modelVolume.sizeLimit }}
    {{- with .Values.modelVolume.medium }}
    medium: {{ . }}
    {{- end }}
{{- end }}
{{- range $i, $model := .Values.models }}
{{- if eq $model.source "pvc" }}
- name: model-{{ $i }}
  persistentVolumeClaim:
    claimName: {{ $model.claimName }}
    readOnly: true
{{- else if eq $model.source "image" }}
- name: model-{{ $i }}
  image:
    reference: {{ $model.reference }}
    pullPolicy: {{ default "IfNotPresent" $model.pullPolicy }}
{{- else if $model.tokenSecret }}
- name: token-{{ $i }}
  secret:
    secretName: {{ $model.tokenSecret.name }}
    items:
      - {key: {{ $model.tokenSecret.key }}, path: {{ $model.tokenSecret.key }}}
{{- end }}
{{- end }}
{{- end }}
