{{/* The config and its checks. */}}

{{- define "consentry.address" -}}
{{- printf "%s:%d" .root.Values.listen.address (int .port) }}
{{- end }}

{{/* Dotted keys are first: TOML forbids them after a table, and the config may start with top-level keys. */}}
{{- define "consentry.config" -}}
{{- with .Values.listen -}}
listen.http = {{ include "consentry.address" (dict "root" $ "port" .http) | quote }}
{{- if .https }}
listen.https = {{ include "consentry.address" (dict "root" $ "port" .https) | quote }}
{{- end }}
listen.admin = {{ include "consentry.address" (dict "root" $ "port" .admin) | quote }}
{{- if $.Values.adminToken.enabled }}
listen.admin_token_file = "/etc/consentry-admin/token"
{{- end }}
{{- if .proxyProtocol }}
listen.proxy_protocol = true
{{- end }}
{{- with .trustedProxies }}
listen.trusted_proxies = {{ toJson . }}
{{- end }}
{{- end }}

{{ .Values.config }}
{{- end }}

{{/* The keys of the ConfigMap. */}}
{{- define "consentry.configData" -}}
consentry.toml: |
  {{- include "consentry.config" . | trim | nindent 2 }}
{{- range $name, $text := .Values.configFiles }}
{{ $name }}: {{ toJson $text }}
{{- end }}
{{- end }}

{{/* Values that no JSON Schema can reject with a clear message. */}}
{{- define "consentry.validate" -}}
{{- with .Values -}}
{{- if regexMatch "(?m)^\\s*(\\[\\s*listen\\s*\\]|listen\\s*[.=])" .config }}
{{- fail "config: the chart writes the `[listen]` table; use the values below `listen` instead" }}
{{- end }}
{{- if hasKey .configFiles "consentry.toml" }}
{{- fail "configFiles: `consentry.toml` is the value `config`" }}
{{- end }}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas is larger than autoscaling.maxReplicas" }}
{{- end }}
{{- if and .serviceMonitor.enabled .podMonitor.enabled }}
{{- fail "serviceMonitor and podMonitor are both enabled: each sample would be scraped twice" }}
{{- end }}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) }}
{{- fail "httpRoute.parentRefs is empty: name the Gateway" }}
{{- end }}
{{- if and .tls.secretName (not .listen.https) }}
{{- fail "tls.secretName is set, but listen.https is 0" }}
{{- end }}
{{- if and (or .extProc.envoyGateway.enabled .extProc.istio.enabled) (not .extProc.enabled) }}
{{- fail "extProc.envoyGateway and extProc.istio need extProc.enabled" }}
{{- end }}
{{- if and .extProc.envoyGateway.enabled (not .extProc.envoyGateway.targetRefs) }}
{{- fail "extProc.envoyGateway.targetRefs is empty: name the HTTPRoutes or Gateways" }}
{{- end }}
{{- if and .sidecar .podMonitor.enabled (not .podMonitor.selector) }}
{{- fail "podMonitor.selector is empty: name the labels of the application's pods" }}
{{- end }}
{{- $ports := list (int .listen.http) (int .listen.admin) }}
{{- if .listen.https }}{{ $ports = append $ports (int .listen.https) }}{{ end }}
{{- if .extProc.enabled }}{{ $ports = concat $ports (list (int .extProc.port) (int .extProc.adminPort)) }}{{ end }}
{{- if ne (len $ports) (len (uniq $ports)) }}
{{- fail "two listeners have the same port" }}
{{- end }}
{{- end }}
{{- end }}
