{{/* Names, labels, and what several templates need to agree on. */}}

{{- define "wxkf-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters, so that the longest suffix, and the hash in a StatefulSet's labels, still fit into 63. */}}
{{- define "wxkf-gateway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $name = .Release.Name -}}
{{- else -}}
{{- $name = printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "wxkf-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wxkf-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "wxkf-gateway.labels" -}}
{{ include "wxkf-gateway.selectorLabels" . }}
{{ include "wxkf-gateway.releaseLabels" . }}
{{- end -}}

{{- define "wxkf-gateway.releaseLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ regexReplaceAll "[^A-Za-z0-9._-]" (.Values.image.tag | default .Chart.AppVersion) "_" | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.serviceAccountName" -}}
{{- default (ternary (include "wxkf-gateway.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "wxkf-gateway.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "wxkf-gateway.imagePullSecrets" -}}
{{- $secrets := concat .Values.global.imagePullSecrets .Values.imagePullSecrets -}}
{{- if $secrets }}
imagePullSecrets:
{{- range $secrets }}
  - name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* "yes" when given by value or by an existing secret: mongodb, redis, masterKey, adminToken, puppetPassword. */}}
{{- define "wxkf-gateway.given" -}}
{{- if or .uri .url .value .existingSecret }}yes{{ end -}}
{{- end -}}

{{/* The most replicas there can be without anybody changing a value. */}}
{{- define "wxkf-gateway.mostReplicas" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled -}}
{{- end -}}

{{- define "wxkf-gateway.fewestReplicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled -}}
{{- end -}}

{{/* A value of `settings` as text: numbers without an exponent. */}}
{{- define "wxkf-gateway.text" -}}
{{- if kindIs "float64" . }}{{ if eq . (floor .) }}{{ printf "%d" (int64 .) }}{{ else }}{{ . }}{{ end }}{{ else if not (kindIs "invalid" .) }}{{ . }}{{ end -}}
{{- end -}}

{{/* Whole seconds of a duration such as `1m30s`, rounded up; nothing when it is none. */}}
{{- define "wxkf-gateway.seconds" -}}
{{- $text := toString . -}}
{{- if regexMatch "^([0-9]+(ms|h|m|s) ?)+$" $text -}}
{{- $milliseconds := 0 -}}
{{- range regexFindAll "[0-9]+(ms|h|m|s)" $text -1 -}}
{{- $number := regexFind "^[0-9]+" . -}}
{{- $unit := get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) (trimPrefix $number .) -}}
{{- $milliseconds = add $milliseconds (mul (int64 $number) $unit) -}}
{{- end -}}
{{- div (add $milliseconds 999) 1000 -}}
{{- end -}}
{{- end -}}

{{/* SHUTDOWN_DELAY + SHUTDOWN_GRACE; unset ones count as the gateway's own defaults. */}}
{{- define "wxkf-gateway.drainSeconds" -}}
{{- $delay := include "wxkf-gateway.seconds" (.Values.settings.SHUTDOWN_DELAY | default "0s") -}}
{{- $grace := include "wxkf-gateway.seconds" (.Values.settings.SHUTDOWN_GRACE | default "20s") -}}
{{- add (int64 $delay) (int64 $grace) -}}
{{- end -}}

{{- define "wxkf-gateway.terminationGracePeriodSeconds" -}}
{{- .Values.terminationGracePeriodSeconds | default (add (include "wxkf-gateway.drainSeconds" . | int64) 5) -}}
{{- end -}}

{{/* The address at which WeCom calls: as set, else the first host of the Ingress or HTTPRoute; nothing when unknown. */}}
{{- define "wxkf-gateway.publicUrl" -}}
{{- if .Values.settings.PUBLIC_URL -}}
{{- .Values.settings.PUBLIC_URL | trimSuffix "/" -}}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- ternary "https" "http" (not (empty .Values.ingress.tls)) }}://{{ tpl (first .Values.ingress.hosts) . -}}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames -}}
https://{{ tpl (first .Values.httpRoute.hostnames) . -}}
{{- end -}}
{{- end -}}

{{/* The name of the secret that holds the content of CORPS_FILE. */}}
{{- define "wxkf-gateway.corpsSecret" -}}
{{- .Values.corps.existingSecret | default (printf "%s-corps" (include "wxkf-gateway.fullname" .)) -}}
{{- end -}}

{{- define "wxkf-gateway.claim" -}}
{{- .Values.persistence.existingClaim | default (include "wxkf-gateway.fullname" .) -}}
{{- end -}}
