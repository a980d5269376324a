//! The gateway that runs, if one does: whether it is ready, of which release, and whether these settings are
//! its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::str::FromStr;

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use url::{Host, Url};

use crate::config::Config;
use crate::store::sqlite::SqliteStore;

use super::super::healthcheck::local;
use super::admin::{self, AdminFault};
use super::ask::{Answer, ask};
use super::finding::{Check, Finding, Part, Tried};
use super::setup::{LIMIT, Setup};

/// `--gateway`: an address without a path's end, a user or a query.
#[derive(Debug, Clone)]
pub(super) struct GatewayUrl(Url);

impl FromStr for GatewayUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "must be http(s)://host[:port], without user (PUPPET_PASSWORD is sent), path or query";
        let url = Url::parse(text).map_err(|_| RULE)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if plain { Ok(Self(url)) } else { Err(RULE) }
    }
}

/// Which machine it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// This one, or this container.
    Here,
    Elsewhere,
}

/// A gateway that answers.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// What `PORT` serves.
    pub main: Url,
    /// What `OPS_PORT` serves; the same without one.
    pub ops: Url,
    pub place: Place,
}

impl Running {
    pub(super) fn name(&self) -> &str {
        self.main.as_str().trim_end_matches('/')
    }

    fn of(main: Url, config: &Config) -> Self {
        let mut ops = main.clone();
        // Only an address that cannot have a port refuses one.
        let _ = config.ops_port.map(|port| ops.set_port(Some(port)));
        let here = match main.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback() || local(config.bind_address) == ip,
            Some(Host::Ipv6(ip)) => ip.is_loopback() || local(config.bind_address) == ip,
            None => false,
        };
        Self { main, ops, place: if here { Place::Here } else { Place::Elsewhere } }
    }

    pub(super) fn ops_url(&self, path: &str) -> String {
        format!("{}{path}", self.ops.as_str().trim_end_matches('/'))
    }
}

#[derive(Deserialize)]
struct Ready {
    status: String,
    #[serde(default)]
    degraded: Vec<Degraded>,
}

#[derive(Deserialize)]
struct Degraded {
    part: String,
    error: String,
}

/// Looks for a gateway: the one that was named, else where one with these settings listens here.
pub(super) async fn look(config: &Config, named: Option<&GatewayUrl>, http: &Client) -> (Option<Running>, Finding) {
    let default = || format!("http://{}", SocketAddr::new(local(config.bind_address), config.port));
    let main = match named {
        Some(GatewayUrl(url)) => Some(url.clone()),
        None => Url::parse(&default()).ok().filter(|_| config.port != 0),
    };
    let Some(main) = main else {
        let tried = Tried::new(Part::Gateway, "", "looked for a gateway on this machine");
        return (None, tried.skipped("PORT is 0, any free one: say --gateway URL; checked without a running gateway"));
    };
    let running = Running::of(main, config);
    let url = running.ops_url("/readyz");
    let tried = Tried::new(Part::Gateway, "health", format!("GET {url}"));
    match ask(http.get(&url).timeout(LIMIT)).await {
        Ok(answer) => match serde_json::from_slice::<Ready>(&answer.body) {
            Ok(ready) => (Some(running), judged(tried, &ready)),
            Err(_) => (None, stranger(tried, &answer, config)),
        },
        Err(fault) => (None, absent(tried, &fault, named.is_some(), config)),
    }
}

fn judged(tried: Tried, ready: &Ready) -> Finding {
    match ready.status.as_str() {
        "ready" => tried.ok("ready"),
        "degraded" => {
            let parts: Vec<String> = ready.degraded.iter().map(|it| format!("{}: {}", it.part, it.error)).collect();
            let advice = "mend the part; the gateway recovers without a restart";
            tried.wrong(format!("degraded: {}", parts.join("; ")), advice)
        }
        "starting" => tried.wrong("still starting", "it waits for its store: see what is said of that below"),
        "draining" => tried.warning("draining: it was told to stop", "ask again when it has been started again"),
        other => tried.wrong(format!("the status {:?}", excerpt(other)), "use the doctor of the gateway's own release"),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

fn stranger(tried: Tried, answer: &Answer, config: &Config) -> Finding {
    let ports = if config.ops_port.is_some() { "OPS_PORT" } else { "PORT (or OPS_PORT, where health is served)" };
    let seen = format!("{} and {:?}, which is no gateway's", answer.status, answer.excerpt());
    tried.wrong(seen, format!("something else listens there: set {ports} as the gateway has it, or say --gateway"))
}

fn absent(tried: Tried, fault: &str, named: bool, config: &Config) -> Finding {
    if named {
        return tried.wrong(fault, "start the gateway, or give --gateway the address where it listens");
    }
    if config.mongo_uri.is_none() && SqliteStore::is_in_use(&config.data_dir) {
        let seen = format!("{fault}; but DATA_DIR {} is used by a process", config.data_dir.display());
        return tried.warning(seen, "say --gateway when it listens elsewhere; if it hangs, its log says why");
    }
    tried.skipped(format!("{fault}: no gateway runs here, so everything is checked without one"))
}

pub(super) fn checks(setup: &Setup) -> Vec<Check<'_>> {
    let Some(running) = &setup.gateway else { return Vec::new() };
    let release = Tried::new(Part::Gateway, "release", format!("GET {}", running.ops_url("/metrics")));
    let url = running.ops_url("/api/admin/corps");
    let same = Tried::new(Part::Gateway, "settings", format!("GET {url}, to compare its corps with the store's"));
    vec![
        Check::new(release.clone(), async move { vec![same_release(setup, running, release).await] }),
        Check::new(same.clone(), async move { vec![same_store(setup, running, same).await] }),
    ]
}

async fn same_release(setup: &Setup, running: &Running, tried: Tried) -> Finding {
    const OWN: &str = env!("CARGO_PKG_VERSION");
    let answer = match ask(setup.http.get(running.ops_url("/metrics")).timeout(LIMIT)).await {
        Ok(answer) => answer,
        Err(fault) => return tried.skipped(fault),
    };
    let text = String::from_utf8_lossy(&answer.body);
    let found = text.split("wxkf_build_info{version=\"").nth(1).and_then(|rest| rest.split('"').next());
    match found {
        Some(OWN) => tried.ok(OWN),
        Some(other) => {
            let seen = format!("{}; this doctor is of {OWN}", excerpt(other));
            tried.warning(seen, "use the doctor of the gateway's own release")
        }
        None => tried.skipped(format!("{}, without a release", answer.status)),
    }
}

#[derive(Deserialize)]
struct CorpList {
    items: Vec<ListedCorp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedCorp {
    corp_id: String,
}

/// Whether the gateway uses the store that these settings name: everything else rests on it.
async fn same_store(setup: &Setup, running: &Running, tried: Tried) -> Finding {
    const OWN_SETTINGS: &str = "run doctor with the gateway's own settings";
    let list: CorpList = match admin::get(setup, running, "/corps").await {
        Ok(list) => list,
        Err(fault @ AdminFault::NoToken) => return tried.skipped(fault.to_string()),
        Err(AdminFault::Refused(StatusCode::UNAUTHORIZED)) => {
            return tried.wrong("401: it has another ADMIN_TOKEN", OWN_SETTINGS);
        }
        Err(AdminFault::Refused(StatusCode::NOT_FOUND)) => {
            return tried.warning("404: it has no ADMIN_TOKEN", OWN_SETTINGS);
        }
        Err(fault) => return tried.wrong(fault.to_string(), "see the gateway's log"),
    };
    if setup.stored.is_none() {
        return tried.ok("it takes the ADMIN_TOKEN");
    }
    let theirs: BTreeSet<&str> = list.items.iter().map(|corp| corp.corp_id.as_str()).collect();
    let ours: BTreeSet<&str> = setup.corps().iter().map(|corp| corp.id.as_str()).collect();
    let odd: Vec<String> = theirs.symmetric_difference(&ours).take(3).map(|corp| excerpt(corp)).collect();
    if odd.is_empty() {
        return tried.ok("it takes the ADMIN_TOKEN and knows the same corps");
    }
    let seen = format!("only one of gateway and store knows {}", odd.join(", "));
    tried.wrong(seen, "give doctor the DATA_DIR or MONGO_URI, and the CORPS_FILE, that the gateway has")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Verdict;
    use super::*;

    fn verdict(ready: serde_json::Value) -> (Verdict, String) {
        let ready: Ready = serde_json::from_value(ready).unwrap();
        let finding = judged(Tried::new(Part::Gateway, "health", "GET"), &ready);
        (finding.verdict, finding.seen)
    }

    #[test]
    fn only_a_ready_gateway_is_well() {
        assert_eq!(verdict(json!({ "status": "ready" })).0, Verdict::Ok);
        assert_eq!(verdict(json!({ "status": "draining" })).0, Verdict::Warning);
        assert_eq!(verdict(json!({ "status": "starting" })).0, Verdict::Wrong);
        let degraded = json!({ "status": "degraded", "degraded": [{ "part": "cache", "error": "Redis is away" }] });
        assert_eq!(verdict(degraded), (Verdict::Wrong, "degraded: cache: Redis is away".to_owned()));
    }

    #[test]
    fn its_address_has_neither_user_nor_path() {
        assert!("http://gateway:7777".parse::<GatewayUrl>().is_ok());
        for wrong in ["gateway:7777", "http://bot:password@gateway", "http://gateway/console", "http://gateway?x", ""] {
            assert!(wrong.parse::<GatewayUrl>().is_err(), "{wrong}");
        }
    }
}
