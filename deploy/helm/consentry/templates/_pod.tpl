{{/* Containers and volumes. An application's chart includes `consentry.container` and `consentry.volumes` with
     `.Subcharts.consentry` as the context, and sets the value `sidecar`. */}}

{{- define "consentry.container" -}}
name: consentry
{{- if .Values.sidecar }}
restartPolicy: Always
{{- end }}
args:
  - run
  - --config
  - /etc/consentry/consentry.toml
  {{- if .Values.existingConfigSecret }}
  - --listen
  - {{ include "consentry.address" (dict "root" . "port" .Values.listen.http) | quote }}
  - --admin
  - {{ include "consentry.address" (dict "root" . "port" .Values.listen.admin) | quote }}
  {{- end }}
  {{- with .Values.mode }}
  - --mode
  - {{ . }}
  {{- end }}
ports:
  - name: http
    containerPort: {{ .Values.listen.http }}
  {{- if .Values.listen.https }}
  - name: https
    containerPort: {{ .Values.listen.https }}
  {{- end }}
  - name: admin
    containerPort: {{ .Values.listen.admin }}
{{ include "consentry.containerCommon" (dict "root" . "admin" "admin" "resources" .Values.resources) }}
{{- end }}

{{- define "consentry.extProcContainer" -}}
name: ext-proc
args:
  - ext-proc
  - --config
  - /etc/consentry/consentry.toml
  - --listen
  - {{ include "consentry.address" (dict "root" . "port" .Values.extProc.port) | quote }}
  - --admin
  - {{ include "consentry.address" (dict "root" . "port" .Values.extProc.adminPort) | quote }}
  {{- with .Values.mode }}
  - --mode
  - {{ . }}
  {{- end }}
ports:
  - name: grpc
    containerPort: {{ .Values.extProc.port }}
  - name: ext-proc-admin
    containerPort: {{ .Values.extProc.adminPort }}
{{ include "consentry.containerCommon" (dict "root" . "admin" "ext-proc-admin" "resources" (default .Values.resources .Values.extProc.resources)) }}
{{- end }}

{{- define "consentry.containerCommon" -}}
{{- $admin := .admin -}}
{{- $resources := .resources -}}
{{- with .root.Values -}}
image: {{ .image.repository }}{{ with .image.digest }}@{{ . }}{{ else }}:{{ default $.root.Chart.AppVersion .image.tag }}{{ end }}
imagePullPolicy: {{ .image.pullPolicy }}
startupProbe:
  httpGet: { path: /livez, port: {{ $admin }} }
  {{- toYaml .startupProbe | nindent 2 }}
readinessProbe:
  httpGet: { path: /readyz, port: {{ $admin }} }
  {{- toYaml .readinessProbe | nindent 2 }}
livenessProbe:
  httpGet: { path: /livez, port: {{ $admin }} }
  {{- toYaml .livenessProbe | nindent 2 }}
{{- with .preStopSeconds }}
lifecycle:
  preStop: { sleep: { seconds: {{ . }} } }
{{- end }}
{{- with $resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .securityContext | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- with .env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  # The folder, not a file by subPath: a file would never change.
  - { name: consentry-config, mountPath: /etc/consentry, readOnly: true }
  {{- if .adminToken.enabled }}
  - { name: consentry-admin, mountPath: /etc/consentry-admin, readOnly: true }
  {{- end }}
  {{- if .tls.secretName }}
  - { name: consentry-tls, mountPath: /etc/consentry-tls, readOnly: true }
  {{- end }}
  {{- if .data.enabled }}
  - { name: consentry-data, mountPath: {{ .data.mountPath }} }
  {{- end }}
  {{- with .volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "consentry.volumes" -}}
- name: consentry-config
  {{- if .Values.existingConfigSecret }}
  secret:
    secretName: {{ .Values.existingConfigSecret }}
  {{- else }}
  configMap:
    name: {{ include "consentry.fullname" . }}
  {{- end }}
{{- if .Values.adminToken.enabled }}
- name: consentry-admin
  secret:
    secretName: {{ include "consentry.adminTokenSecret" . }}
    items:
      - { key: {{ .Values.adminToken.key }}, path: token }
{{- end }}
{{- with .Values.tls.secretName }}
- name: consentry-tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- if .Values.data.enabled }}
- name: consentry-data
  {{- toYaml (default (dict "emptyDir" dict) .Values.data.volume) | nindent 2 }}
{{- end }}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Annotation that restarts the pods after a config change. */}}
{{- define "consentry.podAnnotations" -}}
{{- if and .Values.restartOnConfigChange (not .Values.existingConfigSecret) }}
checksum/config: {{ include "consentry.configData" . | sha256sum }}
{{- end }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}
