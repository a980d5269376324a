//! Rules over several settings, and warnings.

use std::net::IpAddr;

use url::{Host, Url};

use super::Config;
use super::source::Reader;

/// Rules over several settings.
pub(super) fn check(config: &Config, reader: &mut Reader<'_>) {
    distinct_ports(config, reader);
    for (variable, url) in [
        ("ACCESS_TOKEN_URL", config.access_token_url.as_ref()),
        ("WECOM_API_BASE_URL", Some(&config.wecom_api_base_url)),
        ("HTTPS_PROXY", config.https_proxy.as_ref()),
    ] {
        if url.is_some_and(|url| leads_back(config, url)) {
            reader.fault(variable, "leads back to this gateway, which would ask itself for ever".to_owned());
        }
    }
    forward_proxy(config, reader);
    if config.puppet_passwords.is_empty() && !config.bind_address.is_loopback() {
        let text = "unset: whoever reaches the gateway can register bots and read their tokens";
        reader.warn("PUPPET_PASSWORD", text);
    }
    if config.master_key.is_none() {
        match (config.mongo_uri.is_some(), config.redis_url.is_some()) {
            (true, _) => {
                let text = "unset: corp secrets, callback keys and tokens lie readable in MongoDB and Redis";
                reader.warn("MASTER_KEY", text);
            }
            (false, true) => reader.warn("MASTER_KEY", "unset: tokens and their apps' secrets lie readable in Redis"),
            (false, false) => {}
        }
    }
    if config.mongo_uri.is_some() && config.redis_url.is_none() {
        reader.warn("REDIS_URL", "unset: every replica fetches access tokens of its own, which WeCom limits");
    }
    if config.mongo_uri.is_some() && config.admin_tokens.is_empty() {
        reader.warn("ADMIN_TOKEN", "unset: the admin API and the console answer 404");
    }
    if config.registration == super::Registration::Open && config.puppet_passwords.is_empty() {
        reader.warn("REGISTRATION", "`open` without PUPPET_PASSWORD: anybody can take over an account's events");
    }
}

fn forward_proxy(config: &Config, reader: &mut Reader<'_>) {
    if config.egress_port.is_none() {
        return;
    }
    let unknown = reader.is_at_fault("PUPPET_PASSWORD") || reader.is_at_fault("BIND_ADDRESS");
    if config.puppet_passwords.is_empty() && !config.bind_address.is_loopback() && !unknown {
        let fault = "anybody could call WeCom from this address: set PUPPET_PASSWORD, or BIND_ADDRESS to loopback";
        reader.fault("EGRESS_PORT", fault.to_owned());
    }
    if config.https_proxy.as_ref().is_some_and(|proxy| proxy.scheme() == "https") {
        reader.fault("HTTPS_PROXY", "tunnels of EGRESS_PORT can only be led through a proxy at http://".to_owned());
    }
}

/// Port 0 stands for any free one and collides with nothing.
fn distinct_ports(config: &Config, reader: &mut Reader<'_>) {
    let port = (!reader.is_at_fault("PORT")).then_some(config.port);
    let ports = [
        ("PORT", port),
        ("PUBLIC_PORT", config.public_port),
        ("OPS_PORT", config.ops_port),
        ("EGRESS_PORT", config.egress_port),
    ];
    for (index, (variable, port)) in ports.iter().enumerate() {
        let taken = ports[..index].iter().find(|(_, earlier)| port.is_some_and(|port| port != 0) && earlier == port);
        if let Some((earlier, Some(port))) = taken {
            reader.fault(variable, format!("{port} is the port of {earlier} already: each needs its own"));
        }
    }
}

/// Whether the URL plainly is one of our own listeners, or a route of ours behind `PUBLIC_URL`.
/// Other names of this machine are found only when the gateway meets its own request.
fn leads_back(config: &Config, url: &Url) -> bool {
    let ours = [Some(config.port), config.public_port, config.ops_port, config.egress_port];
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => is_own(config, ip.into()),
        Some(Host::Ipv6(ip)) => is_own(config, ip.into()),
        None => false,
    };
    let own_listener = local && ours.contains(&url.port_or_known_default()) && url.scheme() == "http";
    own_listener || config.public_url.as_ref().is_some_and(|public| is_route_behind(public, url))
}

fn is_own(config: &Config, ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || ip == config.bind_address
}

fn is_route_behind(public: &Url, url: &Url) -> bool {
    const ROUTES: [&str; 3] = ["/api/corp/", "/puppetWxkfManager/", "/cgi-bin/"];
    let path = url.path().strip_prefix(public.path().trim_end_matches('/'));
    url.origin() == public.origin() && path.is_some_and(|path| ROUTES.iter().any(|route| path.starts_with(route)))
}
