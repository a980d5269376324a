{{/*
What cannot work, or would lead outside what must not: refused when it is rendered, all faults at once, each with its mend.
Every fault has a case in `helm/test`.
*/}}

{{- define "wxkf-gateway.guards" -}}
{{- $faults := list "topology" "secrets" "settings" "ports" "shutdown" "exposure" "additions" -}}
{{- $text := "" -}}
{{- range $faults -}}
{{- $text = print $text (include (printf "wxkf-gateway.faults.%s" .) $) -}}
{{- end -}}
{{- with trim $text -}}
{{- $lines := list -}}
{{- range splitList "\n" . }}{{ with trim . }}{{ $lines = append $lines (print "  - " .) }}{{ end }}{{ end -}}
{{- fail (printf "\n\nThese values do not work:\n%s\n" (join "\n" $lines)) -}}
{{- end -}}
{{- end -}}

{{- define "wxkf-gateway.faults.topology" -}}
{{- $scaling := .Values.autoscaling -}}
{{- $shared := and (include "wxkf-gateway.given" .Values.mongodb) (include "wxkf-gateway.given" .Values.redis) -}}
{{- if not $shared }}
{{- if $scaling.enabled }}
autoscaling.enabled needs a store and a token cache that all replicas share: set mongodb.uri and redis.url (or their existingSecret), or autoscaling.enabled=false
{{- else if gt (int .Values.replicaCount) 1 }}
replicaCount={{ int .Values.replicaCount }} needs a store and a token cache that all replicas share: set mongodb.uri and redis.url (or their existingSecret), or replicaCount=1
{{- end }}
{{- end }}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
autoscaling.minReplicas={{ int $scaling.minReplicas }} is more than autoscaling.maxReplicas={{ int $scaling.maxReplicas }}: raise the latter
{{- end }}
{{- if and $scaling.enabled (not $scaling.targetCPU) (not $scaling.targetMemory) (not $scaling.metrics) }}
autoscaling.enabled without anything to go by: set autoscaling.targetCPU, autoscaling.targetMemory or autoscaling.metrics
{{- end }}
{{- $fewest := include "wxkf-gateway.fewestReplicas" . | int -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- $least := toString (ternary $budget.minAvailable "" (not (kindIs "invalid" $budget.minAvailable))) -}}
{{- if $budget.enabled }}
{{- if and $least (not (kindIs "invalid" $budget.maxUnavailable)) }}
podDisruptionBudget has both maxUnavailable and minAvailable: set the one that you do not want to null
{{- else if and (gt $fewest 1) (or (eq $least "100%") (and (regexMatch "^[0-9]+$" $least) (ge (int $least) $fewest))) }}
podDisruptionBudget.minAvailable={{ $least }} of {{ $fewest }} replicas lets no node be drained: lower it, or use maxUnavailable
{{- end }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.faults.secrets" -}}
{{- $all := merge (dict "corps" (dict "key" "corps" "inline" "value")) (include "wxkf-gateway.secrets" . | fromYaml) -}}
{{- range $variable, $source := $all }}
{{- $given := get $.Values $source.key }}
{{- if and (get $given $source.inline) $given.existingSecret }}
{{ $source.key }}.{{ $source.inline }} and {{ $source.key }}.existingSecret are both set: remove one of them
{{- end }}
{{- if and $given.existingSecret (not $given.existingSecretKey) }}
{{ $source.key }}.existingSecretKey is empty: name the key in the secret {{ $given.existingSecret }}
{{- end }}
{{- end }}
{{- with .Values.mongodb.uri }}{{ if not (regexMatch "^mongodb(\\+srv)?://" .) }}
mongodb.uri must begin with mongodb:// or mongodb+srv://
{{- end }}{{ end }}
{{- with .Values.redis.url }}{{ if not (regexMatch "^(rediss?|redis-sentinel)://" .) }}
redis.url must begin with redis://, rediss:// or redis-sentinel://
{{- end }}{{ end }}
{{- with .Values.masterKey.value }}
{{- range $index, $key := splitList "," . }}
{{- if not (or (eq (trim $key) "plain") (regexMatch "^[A-Za-z0-9+/]{43}=$" (trim $key))) }}
masterKey.value: key {{ add1 $index }} is not 32 bytes in base64: make one with `openssl rand -base64 32`
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.puppetPassword.value }}{{ if not (regexMatch "^[A-Za-z0-9._~,-]+$" .) }}
puppetPassword.value may hold A-Z a-z 0-9 . _ ~ - only (and a comma between two), because clients decode URLs differently: make one with `openssl rand -hex 16`
{{- end }}{{ end }}
{{- with .Values.corps.value }}
{{- $content := . }}
{{- if kindIs "string" . }}{{ $content = fromJson . }}{{ end }}
{{- if or (hasKey $content "Error") (not (kindIs "map" (get $content "corps"))) }}
corps.value must be {"corps": {"ww…": {"credentials": […]}}}, as a map or as JSON text
{{- end }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.faults.settings" -}}
{{- $secrets := include "wxkf-gateway.secrets" . | fromYaml -}}
{{- $own := include "wxkf-gateway.ownSettings" . | fromYaml -}}
{{- $known := include "wxkf-gateway.settings" . | fromYamlArray -}}
{{- range $name, $value := .Values.settings }}
{{- $base := trimSuffix "_FILE" $name }}
{{- if hasKey $own $name }}
settings.{{ $name }} is the chart's own: use {{ get $own $name }}
{{- else if hasKey $secrets $base }}
{{- $source := get $secrets $base }}
settings.{{ $name }} is for a secret, which would be readable in the pod's description: use {{ $source.key }}.{{ $source.inline }} or {{ $source.key }}.existingSecret
{{- else if regexMatch "^OTEL_EXPORTER_OTLP_(TRACES_)?HEADERS$" $name }}
settings.{{ $name }} authenticates, and would be readable in the pod's description: give it with extraEnv and valueFrom.secretKeyRef
{{- else if not (or (has $name $known) (hasPrefix "OTEL_" $name)) }}
settings.{{ $name }} is no setting of the gateway: `wxkf-gateway serve --help` lists them; other variables go into extraEnv
{{- else if and (eq $name "HTTPS_PROXY") (contains "@" (toString $value)) }}
settings.HTTPS_PROXY holds a password, which would be readable in the pod's description: remove it here, and give it with extraEnv and valueFrom.secretKeyRef
{{- end }}
{{- end }}
{{- range $name := list "REGISTRATION_GRACE" "DISPATCH_TIMEOUT" "EVENT_TTL" "TOKEN_MAX_LEASE" }}
{{- $span := include "wxkf-gateway.text" (get $.Values.settings $name) }}
{{- if regexMatch "^[0-9.]+$" $span }}
settings.{{ $name }}={{ $span }} is no duration: a number with its unit, ms, s, m or h
{{- end }}
{{- end }}
{{- $words := dict "REGISTRATION" (list "proof" "open") "DISPATCH_FORMAT" (list "as-received" "decrypted") "LOG_FORMAT" (list "auto" "json" "pretty") }}
{{- range $name, $known := $words }}
{{- $word := include "wxkf-gateway.text" (get $.Values.settings $name) }}
{{- if and $word (not (has $word $known)) }}
settings.{{ $name }}={{ $word }} is none of {{ join ", " $known }}
{{- end }}
{{- end }}
{{- if has (toString .Values.settings.BIND_ADDRESS) (list "127.0.0.1" "::1") }}
settings.BIND_ADDRESS={{ .Values.settings.BIND_ADDRESS }} is reached by nobody outside of the pod: remove it, or use 0.0.0.0 or ::
{{- end }}
{{- if and .Values.settings.EGRESS_PORT (not (include "wxkf-gateway.given" .Values.puppetPassword)) }}
settings.EGRESS_PORT without a password lets everybody in the cluster call WeCom from your address: set puppetPassword.value or puppetPassword.existingSecret
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.faults.ports" -}}
{{- $taken := dict -}}
{{- range $name := list "PORT" "PUBLIC_PORT" "OPS_PORT" "EGRESS_PORT" }}
{{- $port := include "wxkf-gateway.text" (get $.Values.settings $name) }}
{{- if not $port }}
{{- if ne $name "EGRESS_PORT" }}
settings.{{ $name }} is empty, and the Service leads to it: give it a port
{{- end }}
{{- else if or (not (regexMatch "^[0-9]+$" $port)) (lt (int $port) 1024) (gt (int $port) 65535) }}
settings.{{ $name }}={{ $port }} must be 1024 to 65535: lower ones are for root alone
{{- else if hasKey $taken $port }}
settings.{{ $name }}={{ $port }} is the port of {{ get $taken $port }} already: each needs its own
{{- else }}{{ $_ := set $taken $port $name }}
{{- end }}
{{- end }}
{{- $ports := dict -}}
{{- range $name, $port := .Values.service.ports }}
{{- if or (ne $name "egress") $.Values.settings.EGRESS_PORT }}
{{- $port = include "wxkf-gateway.text" $port }}
{{- if hasKey $ports $port }}
service.ports.{{ $name }}={{ $port }} is the port of service.ports.{{ get $ports $port }} already: each needs its own
{{- end }}
{{- $_ := set $ports $port $name }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.faults.shutdown" -}}
{{- range $name := list "SHUTDOWN_DELAY" "SHUTDOWN_GRACE" }}
{{- with get $.Values.settings $name }}
{{- if not (include "wxkf-gateway.seconds" .) }}
settings.{{ $name }}={{ . }} is no duration: a number with its unit, ms, s, m or h
{{- end }}
{{- end }}
{{- end }}
{{- $drain := include "wxkf-gateway.drainSeconds" . | int -}}
{{- with .Values.terminationGracePeriodSeconds }}
{{- if le (int .) $drain }}
terminationGracePeriodSeconds={{ int . }} kills pods that still drain: more than {{ $drain }} (SHUTDOWN_DELAY + SHUTDOWN_GRACE), or null
{{- end }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.faults.exposure" -}}
{{- if ne .Values.service.type "ClusterIP" }}
service.type={{ .Values.service.type }} would lead outside to bots' and operators' ports: use publicService.enabled=true with publicService.type={{ .Values.service.type }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
ingress.enabled without a host: set ingress.hosts={wecom.example.com}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
httpRoute.enabled without a gateway: set httpRoute.parentRefs[0].name
{{- end }}
{{- if and .Values.publicService.nodePort (eq .Values.publicService.type "ClusterIP") }}
publicService.nodePort needs publicService.type=NodePort or LoadBalancer
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.faults.additions" -}}
{{- range $name := list "commonLabels" "podLabels" }}
{{- range $label, $_ := get $.Values $name }}
{{- if or (regexMatch "^app\\.kubernetes\\.io/(name|instance|component|version|managed-by)$" $label) (eq $label "helm.sh/chart") }}
{{ $name }} has {{ $label }}, which is the chart's own: remove it
{{- end }}
{{- end }}
{{- end }}
{{- $own := concat (list "CORPS_FILE" "DATA_DIR" "MONGO_URI_FILE" "REDIS_URL_FILE") (keys (include "wxkf-gateway.secrets" . | fromYaml)) -}}
{{- $known := include "wxkf-gateway.settings" . | fromYamlArray -}}
{{- range .Values.extraEnv }}
{{- if has .name $own }}
extraEnv has {{ .name }}, which the chart sets by a value of its own: use that
{{- else if hasKey $.Values.settings .name }}
extraEnv and settings both have {{ .name }}: remove one of them
{{- end }}
{{- end }}
{{- end -}}
