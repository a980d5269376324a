//! The way to WeCom: its name, the connection with the proxy in use, and the clock.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::Host;

use crate::config::Config;
use crate::domain::Clock;
use crate::egress;

use super::ask::{Answer, ask};
use super::finding::{Check, Finding, Part, Tried};
use super::setup::{LIMIT, Setup};

/// Signed timestamps and the ages of events are off by more than that: worth a word.
const NOTICEABLE: Duration = Duration::from_secs(60);
/// From here on certificates and ages go wrong.
const WRONG: Duration = Duration::from_secs(300);

pub(super) fn checks(setup: &Setup) -> Vec<Check<'_>> {
    let base = &setup.config.wecom_api_base_url;
    let name = Tried::new(Part::WeCom, "name", format!("looked {} up", base.host_str().unwrap_or_default()));
    let url = format!("{}/cgi-bin/gettoken", base.as_str().trim_end_matches('/'));
    let reach =
        Tried::new(Part::WeCom, "connection", format!("GET {url} without corp and secret, {}", way(&setup.config)));
    vec![
        Check::new(name.clone(), async move { resolved(&setup.config, name).await.into_iter().collect() }),
        Check::new(reach.clone(), async move { reached(&setup.config, &url, reach).await }),
    ]
}

/// The client of calls for nobody in particular, as the gateway has it.
pub(super) fn client(config: &Config) -> reqwest::Result<Client> {
    egress::wecom_client(config.https_proxy.as_ref(), config.no_proxy.as_deref())
}

/// The proxy without its password.
fn way(config: &Config) -> String {
    let Some(proxy) = &config.https_proxy else { return "without a proxy".to_owned() };
    let exceptions = if config.no_proxy.is_some() { " (unless NO_PROXY excepts it)" } else { "" };
    format!("by the proxy {}{exceptions}", authority(proxy))
}

pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn resolved(config: &Config, tried: Tried) -> Option<Finding> {
    let base = &config.wecom_api_base_url;
    let Some(Host::Domain(name)) = base.host() else { return None };
    let port = base.port_or_known_default().unwrap_or(443);
    let fault = match timeout(LIMIT, lookup_host((name, port))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<String> = found.map(|address| address.ip().to_string()).collect();
            addresses.dedup();
            return Some(tried.ok(addresses.join(", ")));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
    };
    if config.https_proxy.is_some() {
        return Some(tried.skipped(format!("{fault}; the proxy looks it up itself")));
    }
    let advice = "mend this machine's DNS (/etc/resolv.conf), or WECOM_API_BASE_URL; for the real WeCom it is \
        https://qyapi.weixin.qq.com";
    Some(tried.wrong(fault, advice))
}

#[derive(Deserialize)]
struct Verdict {
    errcode: i64,
}

async fn reached(config: &Config, url: &str, tried: Tried) -> Vec<Finding> {
    let http = match client(config) {
        Ok(http) => http,
        Err(_) => return vec![tried.wrong("no such client can be set up", "set HTTPS_PROXY right")],
    };
    let asked_at = Clock::default().now();
    match ask(http.get(url).timeout(LIMIT)).await {
        Ok(answer) => {
            let clock = clock(&answer, asked_at);
            vec![spoken(tried, &answer), clock]
        }
        Err(fault) => {
            let advice = unreached(config, &fault);
            vec![tried.wrong(fault, advice)]
        }
    }
}

fn spoken(tried: Tried, answer: &Answer) -> Finding {
    let millis = answer.took.as_millis();
    match serde_json::from_slice::<Verdict>(&answer.body) {
        Ok(verdict) if answer.status.is_success() => {
            tried.ok(format!("errcode {} within {millis} ms: WeCom speaks", verdict.errcode))
        }
        _ => tried.wrong(
            format!("{} and {:?}, which is not WeCom's", answer.status, answer.excerpt()),
            "something else answers in WeCom's place (a proxy, a firewall's page): let this machine through, or mend \
             WECOM_API_BASE_URL",
        ),
    }
}

fn unreached(config: &Config, fault: &str) -> String {
    let proxy = config.https_proxy.as_ref().map(|proxy| format!("the proxy {} (HTTPS_PROXY)", authority(proxy)));
    let between = proxy.as_deref().unwrap_or("the firewall between; or set HTTPS_PROXY, if there is a proxy to use");
    if fault.contains("407") {
        return "put its user and password into HTTPS_PROXY: http://user:password@host:port".to_owned();
    }
    if fault.contains("resolve") {
        return "see what is said of its name; or set HTTPS_PROXY, if there is a proxy to use".to_owned();
    }
    if fault.contains("TLS") {
        return format!(
            "something breaks TLS open on the way: let it pass, or trust its certificate (SSL_CERT_FILE); \
             look at {between}"
        );
    }
    format!("see that this machine may call it: look at {between}")
}

/// Compares the clocks in the middle of the exchange; `Date` has whole seconds.
fn clock(answer: &Answer, asked_at: Timestamp) -> Finding {
    let tried = Tried::new(Part::WeCom, "clock", "compared this machine's clock with the Date of that answer");
    let Some(theirs) = answer.header("date").and_then(|date| parse_date(&date)) else {
        return tried.skipped("the answer has no Date");
    };
    let ours = asked_at.as_millisecond() + i64::try_from(answer.took.as_millis() / 2).unwrap_or_default();
    let ahead = ours - (theirs.as_millisecond() + 500);
    let skew = Duration::from_millis(ahead.unsigned_abs());
    let seen = format!("this clock is {} s {}", skew.as_secs(), if ahead > 0 { "ahead" } else { "behind" });
    let advice = "set this machine's clock, and let it be kept right (NTP): the ages of events count by it";
    match skew {
        skew if skew > WRONG => tried.wrong(seen, advice),
        skew if skew > NOTICEABLE => tried.warning(seen, advice),
        _ => tried.ok(seen),
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_date_of_http() {
        let date = parse_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(parse_date("yesterday"), None);
    }

    #[test]
    fn names_a_proxy_without_its_password() {
        let proxy = Url::parse("http://user:s3cret@proxy.example.com:3128").unwrap();
        assert_eq!(authority(&proxy), "proxy.example.com:3128");
    }
}
