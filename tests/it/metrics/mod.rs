//! The metrics as they are declared, documented, queried by the chart, and really served.

mod queries;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wxkf_gateway::app::METRICS;
use wxkf_gateway::config::STANDARD_VARIABLES;
use wxkf_gateway::observe::{Family, Measure, Values, markdown};

use crate::admin::declare;
use crate::harness::{self, ACCOUNT, AES_KEY, CORP, Gateway, SECRET, TOKEN, wecom};
use queries::{Mention, groups, mentions};

/// What Prometheus and Kubernetes add.
const ADDED: [&str; 4] = ["namespace", "job", "pod", "instance"];

fn families() -> impl Iterator<Item = &'static Family> {
    METRICS.iter().flat_map(|(_, families)| families.iter())
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_family_is_documented_as_it_is_declared() {
    harness::stands_in("docs/metrics.md", "metrics", &markdown(METRICS));
}

#[test]
fn every_standard_variable_is_documented_as_it_is_served() {
    let row = |known: &wxkf_gateway::config::Standard| {
        format!("| `{}` | {} | {} |\n", known.variable, known.default, known.meaning)
    };
    let rows: String = STANDARD_VARIABLES.iter().map(row).collect();
    harness::stands_in(
        "docs/traces.md",
        "variables",
        &format!("| variable | default | meaning |\n|---|---|---|\n{rows}"),
    );
}

#[test]
fn names_tell_what_is_counted_and_in_which_unit() {
    let names: BTreeSet<&str> = families().map(|family| family.name).collect();
    assert_eq!(names.len(), families().count(), "a family is declared twice");
    for Family { name, measure, labels, says, advice } in families() {
        assert_eq!(*measure == Measure::Counter, name.ends_with("_total"), "{name}");
        assert_eq!(*measure == Measure::Durations, name.ends_with("_duration_seconds"), "{name}");
        assert!(!says.is_empty() && !advice.is_empty(), "{name}");
        for label in *labels {
            assert!(!["corp", "kf", "account", "token", "url"].contains(&label.name), "{name} by {}", label.name);
        }
    }
}

/// Series by family, as Prometheus reads them.
fn read(metrics: &str) -> BTreeMap<String, (String, Vec<Mention>)> {
    let mut families: BTreeMap<String, (String, Vec<Mention>)> = BTreeMap::new();
    let mut current = String::new();
    for line in metrics.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            name.clone_into(&mut current);
            let known = families.insert(current.clone(), (kind.to_owned(), Vec::new()));
            assert!(known.is_none(), "{name} stands there twice");
        } else if !line.is_empty() && !line.starts_with('#') {
            families.get_mut(&current).expect(line).1.extend(mentions(line.rsplit_once(' ').unwrap().0));
        }
    }
    families
}

/// A gateway to which everything happened that begins a series.
async fn busy() -> Gateway {
    let wecom = wecom().await;
    let more = [("WECOM_API_BASE_URL", &*wecom.base_url()), ("EGRESS_PORT", "0"), ("REGISTRATION", "open")];
    let gateway = Gateway::start(&more).await;
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    let query = [("corpid", CORP), ("corpsecret", SECRET)];
    gateway.get("/api/corp/accessToken").query(&query).send().await.unwrap();
    gateway.get(&format!("/puppetWxkfManager/puppetWxkfInfo/{ACCOUNT}")).send().await.unwrap();

    let proxy = gateway.listener("EGRESS_PORT").unwrap();
    let host = wecom.base_url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(proxy.trim_start_matches("http://")).await.unwrap();
    stream.write_all(format!("CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    gateway
}

#[tokio::test]
async fn what_is_served_is_what_is_declared() {
    let gateway = busy().await;
    let text = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    let served = read(&text);
    let declared: BTreeSet<&str> = families().map(|family| family.name).collect();
    let names: BTreeSet<&str> = served.keys().map(String::as_str).collect();
    assert_eq!(names, declared);
    for family in families() {
        let (kind, series) = &served[family.name];
        assert_eq!(kind, family.measure.name(), "{}", family.name);
        assert!(text.contains(&format!("# HELP {} {}\n", family.name, family.says)), "{}", family.name);
        for one in series {
            fits(one, family);
            let labels: BTreeSet<&str> =
                one.labels.iter().map(|(name, _)| &**name).filter(|&name| name != "le").collect();
            assert_eq!(labels, family.labels.iter().map(|label| label.name).collect(), "{one:?}");
        }
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let series: BTreeSet<&str> = lines.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(series.len(), lines.len(), "a series stands there twice: its labels are in another order");
}

/// Whether the family has these labels, with these values.
fn fits(mention: &Mention, family: &Family) {
    for (label, values) in &mention.labels {
        if ADDED.contains(&&**label) || (label == "le" && family.measure == Measure::Durations) {
            continue;
        }
        let known = family.labels.iter().find(|known| known.name == label);
        let known = known.unwrap_or_else(|| panic!("{mention:?}: {} has no label {label}", family.name));
        if let Values::These(known) = known.values {
            let unknown = values.iter().find(|value| !known.contains(&&***value));
            assert!(unknown.is_none(), "{mention:?}: {label} is never {unknown:?}");
        }
    }
}

/// The family of a name in a query.
fn family(mention: &Mention) -> &'static Family {
    let of = |family: &&Family| match family.measure {
        Measure::Durations => {
            let rest = mention.name.strip_prefix(family.name);
            rest.is_some_and(|rest| ["_bucket", "_count", "_sum"].contains(&rest))
        }
        _ => mention.name == family.name,
    };
    families().find(of).unwrap_or_else(|| panic!("{mention:?}: there is no such metric"))
}

fn exists(query: &str) {
    let mentions = mentions(query);
    let mut labels: BTreeSet<&str> = ADDED.into_iter().collect();
    for mention in &mentions {
        let family = family(mention);
        fits(mention, family);
        labels.extend(family.labels.iter().map(|label| label.name));
        labels.extend((family.measure == Measure::Durations).then_some("le"));
    }
    for group in groups(query) {
        assert!(labels.contains(&*group), "grouped by {group}, which none has: {query}");
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    fn expressions(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| expressions(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(file("helm/wxkf-gateway/files/dashboard.json")).unwrap();
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&text).unwrap(), &mut found);
    assert!(found.len() >= 20, "{found:#?}");
    found.iter().for_each(|query| exists(query));
}

#[test]
fn the_alerts_ask_for_what_there_is() {
    let template = std::fs::read_to_string(file("helm/wxkf-gateway/templates/_alerts.tpl")).unwrap();
    let template = template.replace("{{- $of -}}", r#"namespace="n",job="j""#);
    let alerts: Vec<&str> = template.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        let query = alert.split_once("expr:").unwrap().1.split_once("for: ").unwrap().0;
        exists(query);
    }
    let tests = std::fs::read_to_string(file("helm/alerts-test.yaml")).unwrap();
    let series = tests.split("series: '").skip(1).map(|rest| rest.split_once('\'').unwrap().0);
    series.for_each(exists);
}
