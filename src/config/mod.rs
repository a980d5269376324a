//! Every setting: its variable, its default and why one would change it.
//!
//! The list below is the only place that names a setting. From it come the fields of [`Config`], the
//! flags and the help of the command line, and the table in the README. All faults are collected
//! and reported together, because whoever sets up a gateway wants to mend them in one go.

mod fault;
mod parse;
mod rules;
mod secrets;
mod setting;
mod source;
#[cfg(test)]
mod tests;
mod traces;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::domain::Secret;
use crate::egress::{AllowedHosts, DENIED_BY_DEFAULT, DenyList};

pub use fault::{Fault, Faults, Warning};
pub use secrets::{create_admin_token, read_admin_token};
pub use setting::{Absent, Kind, Setting, markdown_table};
pub use source::Source;
pub use traces::{ParentDecision, STANDARD_VARIABLES, Standard, TraceSampler, TraceSettings};

use setting::settings;
use source::Reader;

/// Who may register a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Whoever proves that the account is theirs.
    Proof,
    /// Anybody, as the original manager.
    Open,
}

/// The form in which an encrypted callback goes to a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DispatchFormat {
    /// The XML that came, where the bot can open it.
    AsReceived,
    Decrypted,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `Pretty` on a terminal, else `Json`.
    Auto,
    Json,
    Pretty,
}

settings! {
    "Listeners" {
        /// The port for everything that has no port of its own.
        Plain port: u16 = "PORT", Value "7777", parse::port, "7777";
        /// The address that all ports are bound to.
        Plain bind_address: IpAddr = "BIND_ADDRESS", Value "0.0.0.0", parse::address, "127.0.0.1";
        /// A second port that serves `/callback/{corpId}` and nothing else: the one to expose to the
        /// internet, since the other routes carry no signature of WeCom.
        Plain public_port: Option<u16> = "PUBLIC_PORT", Unset "unset", parse::port, "7778";
        /// When set, health, metrics, the admin API and the console move there from PORT.
        Plain ops_port: Option<u16> = "OPS_PORT", Unset "unset", parse::port, "7779";
        /// The address at which WeCom reaches the gateway, for the callback URLs that are shown.
        Plain public_url: Option<Url> = "PUBLIC_URL", Unset "unset", parse::base_url, "https://wecom.example.com";
    }
    "Access" {
        /// Bearer token of the admin API and the console; several, comma-separated, while one is being
        /// replaced.
        Secret admin_tokens: Vec<Secret> = "ADMIN_TOKEN", Unset "generated, kept in DATA_DIR; with MONGO_URI no admin API",
            parse::tokens,
            "$(openssl rand -hex 32)";
        /// When set, bots must show it: HTTP Basic with any user name, or Bearer. Bots send it from
        /// `PUPPET_WXKF_MANAGER_ENDPOINT=http://bot:PASSWORD@gateway:7777`. Several, comma-separated,
        /// while one is being replaced; only characters of `A-Za-z0-9._~-`.
        Secret puppet_passwords: Vec<Secret> = "PUPPET_PASSWORD", Unset "unset", parse::passwords,
            "$(openssl rand -hex 16)";
        /// `proof`: a bot must prove with its corp secret that the account is its own; `open`: anybody may
        /// register, as with the original manager.
        Plain registration: Registration = "REGISTRATION", Value "proof",
            parse::choice(&[("proof", Registration::Proof), ("open", Registration::Open)]), "proof";
    }
    "WeCom" {
        /// Corps declared in a file, such as a mounted Secret; read again when it changes.
        Plain corps_file: Option<PathBuf> = "CORPS_FILE", Unset "unset", parse::path, "/etc/wxkf-gateway/corps.json";
        /// WeCom's API: another one for private deployments and the simulator.
        Plain wecom_api_base_url: Url = "WECOM_API_BASE_URL", Value "https://qyapi.weixin.qq.com", parse::base_url,
            "https://qyapi.weixin.qq.com";
        /// Where access tokens are fetched, when another service of yours hands them out.
        Plain access_token_url: Option<Url> = "ACCESS_TOKEN_URL", Unset "`{WECOM_API_BASE_URL}/cgi-bin/gettoken`",
            parse::web_url, "https://tokens.example.com/gettoken";
        /// The longest `expires_in` handed out: with `10m`, a bot recovers from a token that WeCom
        /// revoked early within 10 minutes.
        Plain token_max_lease: Option<Duration> = "TOKEN_MAX_LEASE", Unset "unset", parse::seconds, "10m";
        /// Outbound proxy for calls to WeCom; never used towards bots.
        Plain https_proxy: Option<Url> = "HTTPS_PROXY", Unset "unset", parse::proxy, "http://proxy.example.com:3128";
        /// Hosts that are called without the proxy of `HTTPS_PROXY`.
        Plain no_proxy: Option<String> = "NO_PROXY", Unset "unset", parse::text, "localhost,.example.com";
    }
    "Forward proxy" {
        /// When set, an HTTP proxy that leads to WeCom and nowhere else, for bots that should share the
        /// gateway's address: `HTTPS_PROXY=http://bot:PASSWORD@gateway:EGRESS_PORT`. Needs
        /// `PUPPET_PASSWORD` when bound beyond loopback.
        Plain egress_port: Option<u16> = "EGRESS_PORT", Unset "unset", parse::port, "7780";
        /// The hosts that it reaches: `host[:port]`, comma-separated, port 443 unless given. Requests that
        /// hold a whole URL go to `WECOM_API_BASE_URL`, whichever of them they name.
        Plain egress_hosts: Option<AllowedHosts> = "EGRESS_HOSTS", Unset "host and port of `WECOM_API_BASE_URL`",
            parse::hosts, "qyapi.weixin.qq.com";
    }
    "Delivery to bots" {
        /// `as-received`: bots get the encrypted XML where they can open it; `decrypted`: always JSON
        /// with token and OpenKfId.
        Plain dispatch_format: DispatchFormat = "DISPATCH_FORMAT", Value "as-received",
            parse::choice(&[("as-received", DispatchFormat::AsReceived), ("decrypted", DispatchFormat::Decrypted)]),
            "decrypted";
        /// The time limit of one attempt to deliver to a bot or a service.
        Plain dispatch_timeout: Duration = "DISPATCH_TIMEOUT", Value "3s", parse::limit, "3s";
        /// Networks that no address of a bot, a service or `EGRESS_HOSTS` may lie in: link-local, cloud metadata, multicast, unspecified
        /// and documentation ones.
        Plain dispatch_deny_networks: DenyList = "DISPATCH_DENY_NETWORKS", Value DENIED_BY_DEFAULT, parse::networks,
            "169.254.0.0/16,fe80::/10";
        /// How long an undelivered event is retried; WeCom's sync token lives 10 minutes.
        Plain event_ttl: Duration = "EVENT_TTL", Value "9m45s", parse::limit, "9m45s";
        /// Nothing is sent to a bot for so long after it registered: it registers before it is ready.
        Plain registration_grace: Duration = "REGISTRATION_GRACE", Value "2s", parse::span, "2s";
    }
    "Storage" {
        /// MongoDB, or a service that speaks its protocol, for corps, bots and undelivered events, shared by
        /// all replicas. The original manager's registrations are read and written as they are.
        Secret mongo_uri: Option<Secret> = "MONGO_URI", Unset "embedded SQLite in `DATA_DIR`", parse::mongo_uri,
            "mongodb://user:password@mongodb:27017/wxkf-manager";
        /// Redis for access tokens, shared by all replicas: `redis://`, `rediss://` for TLS,
        /// `redis-sentinel://host,host/master-name`.
        Secret redis_url: Option<Secret> = "REDIS_URL", Unset "in-process, kept in the store", parse::redis_url,
            "redis://:password@redis:6379";
        /// The embedded store and generated secrets; created with mode 0700, used by one process. Not used
        /// with `MONGO_URI`.
        Plain data_dir: PathBuf = "DATA_DIR", Value "./data", parse::path, "/var/lib/wxkf-gateway";
        /// Seals secrets in the store: 32 bytes in base64; several, comma-separated: the first seals, all
        /// open, `plain` stands for readable.
        Secret master_key: Option<Secret> = "MASTER_KEY",
            Unset "generated, kept in DATA_DIR; what lies in MongoDB and Redis is readable", parse::master_keys,
            "$(openssl rand -base64 32)";
    }
    "Shutdown and logs" {
        /// After SIGTERM: `/readyz` fails for so long while everything else is still served, so that load
        /// balancers stop sending first.
        Plain shutdown_delay: Duration = "SHUTDOWN_DELAY", Value "0s", parse::span, "5s";
        /// Then: no new connections, and so much time for what is in flight.
        Plain shutdown_grace: Duration = "SHUTDOWN_GRACE", Value "20s", parse::span, "20s";
        /// `auto`: `pretty` on a terminal, else `json`.
        Plain log_format: LogFormat = "LOG_FORMAT", Value "auto",
            parse::choice(&[("auto", LogFormat::Auto), ("json", LogFormat::Json), ("pretty", LogFormat::Pretty)]),
            "json";
        /// What is logged; `trace` is as clean of secrets as `info`.
        Plain log_filter: String = "RUST_LOG", Value "info", parse::log_filter, "info,wxkf_gateway=debug";
    }
    "Traces" {
        /// Where OpenTelemetry traces go, by OTLP over HTTP; unset: there are none. The standard `OTEL_*`
        /// variables apply: docs/traces.md.
        Plain otlp_endpoint: Option<Url> = "OTEL_EXPORTER_OTLP_ENDPOINT", Unset "unset", parse::base_url,
            "http://collector:4318";
    }
}

/// Names only: URLs may hold passwords.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

impl Config {
    /// Reads and checks every setting; on success with what is worth a warning.
    pub fn load(source: &Source) -> Result<(Self, Vec<Warning>), Faults> {
        let mut reader = Reader::new(source);
        let mut config = Self::read(&mut reader);
        if let Some(config) = &mut config {
            config.traces = traces::read(config.otlp_endpoint.as_ref(), &mut reader);
            rules::check(config, &mut reader);
        }
        match config {
            Some(config) if reader.faults.is_empty() => Ok((config, reader.warnings)),
            _ => Err(Faults(reader.faults)),
        }
    }

    /// The hosts that the forward proxy reaches.
    pub fn allowed_hosts(&self) -> AllowedHosts {
        self.egress_hosts.clone().unwrap_or_else(|| AllowedHosts::of(&self.wecom_api_base_url))
    }

    /// Where health, metrics and the console are served.
    pub fn ops_port(&self) -> u16 {
        self.ops_port.unwrap_or(self.port)
    }
}
