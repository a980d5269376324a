//! The document: the same everywhere, complete, and true of the running gateway.

mod compatibility;
mod foreign;

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use wxkf_gateway::openapi::DOCUMENT;
use wxkf_gateway::router;

use crate::admin::{declare, is_the_routers_404};
use crate::harness::{ADMIN_TOKEN, AES_KEY, CORP, Gateway, TOKEN};

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "head"];

pub(crate) fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Method, path and operation.
pub(crate) fn operations(document: &Value) -> Vec<(Method, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                operations.push((method.to_uppercase().parse().unwrap(), &**path, operation));
            }
        }
    }
    operations
}

#[tokio::test]
async fn printed_and_served_are_the_committed_bytes() {
    let gateway = Gateway::start(&[]).await;
    let answer = gateway.get("/openapi.json").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(answer.text().await.unwrap() == DOCUMENT, "it serves another one");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    let printed = command.env_clear().arg("openapi").output().unwrap();
    assert!(DOCUMENT.as_bytes() == printed.stdout, "it prints another one");
}

#[test]
fn the_committed_document_is_that_of_the_routes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let document = router::document();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &document).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert!(committed == document, "openapi/openapi.json is outdated: UPDATE_OPENAPI=1 cargo test --test it openapi");
}

#[test]
fn every_operation_is_described_and_has_an_example() {
    let document = document();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        for field in ["summary", "description"] {
            assert!(operation[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}: its operationId is another's");
        let own = operation["tags"].as_array().unwrap();
        assert!(own.len() == 1 && tags.contains(own[0].as_str().unwrap()), "{name}: {own:?}");
        assert!(has_example(operation, &document), "{name} has no example");
        assert!(operation["security"].is_array(), "{name} does not say whom it lets in");
    }
    assert!(ids.len() > 20);
}

#[test]
fn every_error_of_the_admin_api_is_a_problem_of_a_documented_type() {
    let document = document();
    let types = document.pointer("/components/schemas/ProblemType").unwrap();
    let named: Vec<&str> = types["enum"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(named.len(), 9);
    for name in named {
        let kind = name.strip_prefix("urn:wxkf-gateway:problem:").unwrap();
        assert!(types["description"].as_str().unwrap().contains(&format!("`{kind}` (")), "{kind} is not explained");
    }
    for (method, path, operation) in
        operations(&document).into_iter().filter(|(_, path, _)| path.starts_with("/api/admin"))
    {
        let errors = operation["responses"].as_object().unwrap().iter().filter(|(status, _)| &***status >= "400");
        for (status, response) in errors {
            let is_problem = resolved(response, &document)["content"]["application/problem+json"].is_object();
            assert!(is_problem, "{method} {path}: {status} is no problem");
        }
        for status in ["401", "429"] {
            assert!(operation["responses"][status].is_object(), "{method} {path}: {status}");
        }
    }
}

/// Itself, or what it refers to.
fn resolved<'d>(value: &'d Value, document: &'d Value) -> &'d Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// In itself, or in a schema that it refers to.
fn has_example(value: &Value, document: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| match (name.as_str(), value) {
            ("example" | "examples", _) => true,
            ("$ref", Value::String(_)) => has_example(resolved(&json!({ "$ref": value }), document), document),
            (_, value) => has_example(value, document),
        }),
        Value::Array(items) => items.iter().any(|item| has_example(item, document)),
        _ => false,
    }
}

#[tokio::test]
async fn every_operation_is_there_and_answers_as_documented() {
    let gateway = Gateway::start(&[]).await;
    let document = document();
    for (method, path, operation) in operations(&document) {
        let real = path.replace("{corpId}", CORP).replace("{kfId}", "wk1").replace("{id}", "1");
        let answer = gateway.request(method.clone(), &real).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(status != 405 && !is_the_routers_404(&answer), "{method} {path}: {status}");
        let responses = operation["responses"].as_object().unwrap();
        let documented = responses.get(&status.to_string()).or_else(|| responses.get("default"));
        let documented = resolved(documented.unwrap_or(&Value::Null), &document);
        assert!(documented.is_object(), "{method} {path} answers {status}, which is not documented");
        if let Some(content) = documented["content"].as_object() {
            let content_type = answer.headers()["content-type"].to_str().unwrap();
            let essence = content_type.split(';').next().unwrap();
            assert!(content.contains_key(essence), "{method} {path}: {status} as {content_type}");
        }
    }
}

#[tokio::test]
async fn every_metric_says_what_it_means() {
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", "http://127.0.0.1:9")]).await;
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    // Something of everything, so that every family is there.
    for path in ["/api/corp/accessToken?corpid=ww1&corpsecret=s", "/callback/ww1", &format!("/callback/{CORP}")] {
        gateway.get(path).send().await.unwrap();
    }
    let event = json!({ "token": "t", "openKfId": "wk1" });
    gateway.post(&format!("/callback/decrypted/{CORP}")).json(&event).send().await.unwrap();
    let answer = gateway.get("/metrics").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    let named = |mark: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark)?.split_once(' '));
        lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (help, types) = (named("# HELP "), named("# TYPE "));
    assert!(types.len() > 8, "{text}");
    for family in types.keys() {
        assert!(help.get(family).is_some_and(|text| text.len() > 10), "{family} has no HELP");
    }
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        assert!(types.contains_key(name) || family.is_some_and(|name| types.contains_key(name)), "{line}");
    }
}
