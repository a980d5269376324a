{{/* The pod of the gateway, the same in a StatefulSet (SQLite) and in a Deployment (MongoDB). */}}

{{- define "wxkf-gateway.pod" -}}
metadata:
  labels:
    {{- /* No version: a new chart with the same pod restarts nothing. */}}
    {{- include "wxkf-gateway.selectorLabels" . | nindent 4 }}
    {{- with merge (dict) .Values.podLabels .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- /* Of what is read once, at the start. Corps are read again while it runs. */}}
    checksum/secret: {{ include "wxkf-gateway.secretData" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "wxkf-gateway.podIdentity" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "wxkf-gateway.terminationGracePeriodSeconds" . }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: gateway
      {{- include "wxkf-gateway.imageAndSecurity" . | nindent 6 }}
      args:
        - serve
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        {{- include "wxkf-gateway.environment" . | trim | nindent 8 }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- include "wxkf-gateway.containerPorts" . | trim | nindent 8 }}
      {{- range $field := list "startupProbe" "livenessProbe" "readinessProbe" "lifecycle" "resources" }}
      {{- with get $.Values $field }}
      {{- toYaml (dict $field .) | nindent 6 }}
      {{- end }}
      {{- end }}
      volumeMounts:
        {{- if not (include "wxkf-gateway.given" .Values.mongodb) }}
        - name: data
          mountPath: /data
        {{- end }}
        - name: corps
          mountPath: /etc/wxkf-gateway
          readOnly: true
        - name: tmp
          mountPath: /tmp
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "wxkf-gateway.volumes" . | trim | nindent 4 }}
  {{- range $part := list "placement" "spread" }}
  {{- with include (print "wxkf-gateway." $part) $ | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* Who the pods are, those of `helm test` too: nobody in the cluster's API, and no root. */}}
{{- define "wxkf-gateway.podIdentity" -}}
serviceAccountName: {{ include "wxkf-gateway.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "wxkf-gateway.imagePullSecrets" . }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.imageAndSecurity" -}}
image: {{ include "wxkf-gateway.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.containerPorts" -}}
{{- range $name, $variable := dict "main" "PORT" "public" "PUBLIC_PORT" "ops" "OPS_PORT" "egress" "EGRESS_PORT" }}
{{- with include "wxkf-gateway.text" (get $.Values.settings $variable) }}
- name: {{ $name }}
  containerPort: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.volumes" -}}
{{- if not (include "wxkf-gateway.given" .Values.mongodb) }}
- name: data
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ include "wxkf-gateway.claim" . }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- /* The whole directory: a file mounted by subPath would never change. */}}
- name: corps
  secret:
    secretName: {{ include "wxkf-gateway.corpsSecret" . }}
    items:
      - key: {{ ternary .Values.corps.existingSecretKey "corps.json" (not (empty .Values.corps.existingSecret)) }}
        path: corps.json
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.placement" -}}
{{- range $field := list "nodeSelector" "affinity" "tolerations" "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" "dnsConfig" "hostAliases" }}
{{- with get $.Values $field }}
{{ toYaml (dict $field .) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "wxkf-gateway.spread" -}}
{{- if gt (include "wxkf-gateway.mostReplicas" . | int) 1 }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
{{- range . }}
{{- $constraint := merge (dict) . }}
{{- if not (hasKey . "labelSelector") }}
{{- $_ := set $constraint "labelSelector" (dict "matchLabels" (include "wxkf-gateway.selectorLabels" $ | fromYaml)) }}
{{- if not (hasKey . "matchLabelKeys") }}{{ $_ := set $constraint "matchLabelKeys" (list "pod-template-hash") }}{{ end }}
{{- end }}
  - {{ toYaml $constraint | nindent 4 | trim }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
