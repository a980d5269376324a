//! The queries of the chart's dashboard and alerts, and the series of the alerts' tests, as far as they name
//! metrics and labels. No parser of `PromQL`: what is looked for is a name of ours, the labels in the braces behind
//! it, and the labels that it is summed by.

use std::collections::BTreeSet;

/// One mention of a metric.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) name: String,
    /// Label and the values it is compared with.
    pub(super) labels: Vec<(String, Vec<String>)>,
}

const OURS: [&str; 4] = ["wxkf_", "wecom_", "process_", "tokio_"];

pub(super) fn mentions(query: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(at) = rest.find(|char: char| char.is_ascii_lowercase()) {
        let word = word(&rest[at..]);
        rest = &rest[at + word.len()..];
        if OURS.iter().any(|prefix| word.starts_with(prefix)) {
            let (labels, behind) = labels(rest);
            found.push(Mention { name: word.to_owned(), labels });
            rest = behind;
        } else if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted.split_once('"').map_or("", |(_, behind)| behind);
        }
    }
    found
}

/// The labels that the query groups by.
pub(super) fn groups(query: &str) -> BTreeSet<String> {
    let lists = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    lists.flat_map(|list| list.split(',')).map(|label| label.trim().to_owned()).collect()
}

fn word(text: &str) -> &str {
    let end = text.find(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).unwrap_or(text.len());
    &text[..end]
}

/// What stands in the braces, and what comes after them.
fn labels(text: &str) -> (Vec<(String, Vec<String>)>, &str) {
    let Some(mut rest) = text.strip_prefix('{') else { return (Vec::new(), text) };
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(behind) = rest.strip_prefix('}') {
            return (labels, behind);
        }
        let name = word(rest);
        let value = rest[name.len()..].trim_start_matches(['=', '!', '~']);
        let (value, behind) = value.strip_prefix('"').and_then(|value| value.split_once('"')).expect(text);
        labels.push((name.to_owned(), value.split('|').map(str::to_owned).collect()));
        rest = behind;
    }
}

#[test]
fn names_and_labels_are_found() {
    let query = r#"sum by (le, kind) (rate(wxkf_a_bucket{namespace="x", result=~"b|c"}[5m])) / wecom_d > 0.1"#;
    let label = |name: &str, values: &[&str]| (name.to_owned(), values.iter().map(|v| (*v).to_owned()).collect());
    let first = vec![label("namespace", &["x"]), label("result", &["b", "c"])];
    let expected = [
        Mention { name: "wxkf_a_bucket".to_owned(), labels: first },
        Mention { name: "wecom_d".to_owned(), labels: Vec::new() },
    ];
    assert_eq!(mentions(query), expected);
    assert_eq!(groups(query), ["kind".to_owned(), "le".to_owned()].into());
}
