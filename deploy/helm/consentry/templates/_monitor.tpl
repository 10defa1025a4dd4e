{{/* The scrape endpoints of a ServiceMonitor or a PodMonitor. */}}
{{- define "consentry.endpoints" -}}
{{- $ports := list "admin" -}}
{{- if and .root.Values.extProc.enabled (not .root.Values.sidecar) }}{{ $ports = append $ports "ext-proc-admin" }}{{ end -}}
{{- range $ports }}
- port: {{ . }}
  path: /metrics
  {{- with $.interval }}
  interval: {{ . }}
  {{- end }}
  {{- if $.root.Values.adminToken.enabled }}
  authorization:
    credentials:
      name: {{ include "consentry.adminTokenSecret" $.root }}
      key: {{ $.root.Values.adminToken.key }}
  {{- end }}
  # The alert rules select this job.
  relabelings:
    - { targetLabel: job, replacement: consentry }
{{- end }}
{{- end }}
