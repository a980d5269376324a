{{/* The environment of the gateway: which settings there are, and where each comes from. */}}

{{/* Secrets by their variable: `key` is the value of values.yaml, `inline` its field for the secret itself. */}}
{{- define "wxkf-gateway.secrets" -}}
MONGO_URI: {key: mongodb, inline: uri}
REDIS_URL: {key: redis, inline: url}
MASTER_KEY: {key: masterKey, inline: value}
ADMIN_TOKEN: {key: adminToken, inline: value}
PUPPET_PASSWORD: {key: puppetPassword, inline: value}
{{- end -}}

{{/* What `settings` may hold, besides OTEL_*: `helm/test` compares it with the gateway's own list. */}}
{{- define "wxkf-gateway.settings" -}}
- ACCESS_TOKEN_URL
- BIND_ADDRESS
- DISPATCH_DENY_NETWORKS
- DISPATCH_FORMAT
- DISPATCH_TIMEOUT
- EGRESS_HOSTS
- EGRESS_PORT
- EVENT_TTL
- HTTPS_PROXY
- LOG_FORMAT
- NO_PROXY
- OPS_PORT
- OTEL_EXPORTER_OTLP_ENDPOINT
- PORT
- PUBLIC_PORT
- PUBLIC_URL
- REGISTRATION
- REGISTRATION_GRACE
- RUST_LOG
- SHUTDOWN_DELAY
- SHUTDOWN_GRACE
- TOKEN_MAX_LEASE
- WECOM_API_BASE_URL
{{- end -}}

{{/* What the chart sets by other values. */}}
{{- define "wxkf-gateway.ownSettings" -}}
CORPS_FILE: corps
DATA_DIR: persistence
{{- end -}}

{{- define "wxkf-gateway.environment" -}}
{{- $settings := merge (dict) .Values.settings -}}
{{- $given := list -}}
{{- range .Values.extraEnv }}{{ $given = append $given .name }}{{ end -}}
{{- if not (has "PUBLIC_URL" $given) }}{{ $_ := set $settings "PUBLIC_URL" (include "wxkf-gateway.publicUrl" .) }}{{ end -}}
{{- range $name, $value := $settings }}
{{- with include "wxkf-gateway.text" $value }}
- name: {{ $name }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
- name: CORPS_FILE
  value: /etc/wxkf-gateway/corps.json
{{- if not (include "wxkf-gateway.given" .Values.mongodb) }}
- name: DATA_DIR
  value: /data
{{- end }}
{{- range $variable, $source := include "wxkf-gateway.secrets" . | fromYaml }}
{{- $given := get $.Values $source.key }}
{{- if include "wxkf-gateway.given" $given }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $given.existingSecret | default (include "wxkf-gateway.fullname" $) }}
      key: {{ ternary $given.existingSecretKey $variable (not (empty $given.existingSecret)) }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end -}}

{{/* The secrets that are given by value, as a Secret's data. */}}
{{- define "wxkf-gateway.secretData" -}}
{{- range $variable, $source := include "wxkf-gateway.secrets" . | fromYaml }}
{{- with get (get $.Values $source.key) $source.inline }}
{{ $variable }}: {{ . | b64enc }}
{{- end }}
{{- end }}
{{- end -}}
