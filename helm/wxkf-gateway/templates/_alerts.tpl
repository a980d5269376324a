{{/* Alerts: what an operator can mend, and what it means is in docs/alerts.md. Only metrics that the gateway has; `helm/test` compares. */}}

{{- define "wxkf-gateway.alerts" -}}
{{- $at := .Values.prometheusRule.thresholds -}}
{{- $of := printf "namespace=\"%s\",job=\"%s\"" .Release.Namespace (include "wxkf-gateway.fullname" .) -}}
- alert: WxkfGatewayDown
  expr: 'absent(up{ {{- $of -}} } == 1)'
  for: 2m
  severity: critical
  summary: No replica of the gateway can be scraped; WeCom repeats a callback three times and then drops it.
- alert: WxkfGatewayCallbacksRefused
  expr: >-
    sum(rate(wxkf_callbacks_total{ {{- $of -}} ,kind!="decrypted",result=~"bad_signature|decrypt_error|bad_receive_id"}[10m]))
    / sum(rate(wxkf_callbacks_total{ {{- $of -}} ,kind!="decrypted"}[10m])) > {{ $at.refusedRatio }}
  for: 10m
  severity: warning
  summary: Callbacks fail verification; the log and lastFailure of the corp name the input that is wrong.
- alert: WxkfGatewayCallbacksUnavailable
  expr: >-
    sum(rate(wxkf_callbacks_total{ {{- $of -}} ,result="unavailable"}[5m]))
    / sum(rate(wxkf_callbacks_total{ {{- $of -}} }[5m])) > {{ $at.unavailableRatio }}
  for: 5m
  severity: critical
  summary: Callbacks are answered 503, because they can neither be delivered nor stored.
- alert: WxkfGatewayAnswersSlowly
  expr: >-
    histogram_quantile(0.99, sum by (le) (rate(wxkf_callback_ack_duration_seconds_bucket{ {{- $of -}} }[5m]))) > {{ $at.ackSeconds }}
  for: 10m
  severity: warning
  summary: The slowest hundredth of the callbacks takes long to answer; WeCom gives up after 5 seconds.
- alert: WxkfGatewayDeliveriesFail
  expr: >-
    sum(rate(wxkf_dispatch_attempts_total{ {{- $of -}} ,result!="delivered"}[15m]))
    / sum(rate(wxkf_dispatch_attempts_total{ {{- $of -}} }[15m])) > {{ $at.dispatchFailureRatio }}
  for: 15m
  severity: warning
  summary: Most deliveries to bots fail; GET /api/admin/puppets names the bots.
- alert: WxkfGatewayEventsExpired
  # What a process gave up before it was first scraped is no increase.
  expr: >-
    sum(increase(wxkf_dispatch_expired_total{ {{- $of -}} }[15m])) > 0
    or sum(wxkf_dispatch_expired_total{ {{- $of -}} } unless wxkf_dispatch_expired_total{ {{- $of -}} } offset 15m) > 0
  for: 0m
  severity: warning
  summary: Events were given up, because their bot took none for EVENT_TTL; they can be redelivered for a week.
- alert: WxkfGatewayServiceBehind
  expr: 'max(wxkf_service_backlog_oldest_age_seconds{ {{- $of -}} }) > {{ $at.serviceBehindSeconds }}'
  for: 5m
  severity: warning
  summary: A service has not taken its events for long; what is beyond 100,000 events or 256 MiB is dropped.
- alert: WxkfGatewayDegraded
  expr: 'min by (dependency) (wxkf_dependency_up{ {{- $of -}} }) == 0'
  for: 5m
  severity: warning
  summary: A part of the gateway fails ({{ `{{ $labels.dependency }}` }}); /readyz of the replica says how.
- alert: WxkfGatewayTokensRefused
  expr: 'sum by (result) (increase(wxkf_access_token_refresh_total{ {{- $of -}} ,result!="ok"}[10m])) > 0'
  for: 10m
  severity: warning
  summary: Access tokens cannot be obtained from WeCom ({{ `{{ $labels.result }}` }}); the log has WeCom's errcode and the mend.
- alert: WxkfGatewayRedisAway
  expr: 'sum(increase(wxkf_redis_exchanges_total{ {{- $of -}} ,result="failed"}[5m])) > 0'
  for: 5m
  severity: warning
  summary: Redis does not answer; each replica serves the tokens that it has and fetches its own.
- alert: WxkfGatewayPasswordsGuessed
  expr: 'sum by (setting) (increase(wxkf_wrong_passwords_total{ {{- $of -}} }[10m])) > {{ $at.wrongPasswords }}'
  for: 0m
  severity: warning
  summary: Many requests with a wrong {{ `{{ $labels.setting }}` }}; GET /api/admin/audit has their addresses.
{{- if not (include "wxkf-gateway.given" .Values.mongodb) }}
{{- $volume := printf "namespace=\"%s\",persistentvolumeclaim=\"%s\"" .Release.Namespace (include "wxkf-gateway.claim" .) }}
- alert: WxkfGatewayVolumeFills
  expr: 'kubelet_volume_stats_available_bytes{ {{- $volume -}} } / kubelet_volume_stats_capacity_bytes{ {{- $volume -}} } < {{ $at.volumeFreeRatio }}'
  for: 15m
  severity: warning
  summary: The volume is nearly full; without space no event can be stored.
{{- end }}
{{- end -}}
