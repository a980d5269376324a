//! Every operation of the OpenAPI document, called with secrets wherever a caller can put them: taken
//! from the document, so that no new route is forgotten.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{ADMIN, AES_KEY, Answers, PASSWORD, SECRET, TOKEN};
use crate::harness::Gateway;
use crate::openapi::{document, operations};

/// As what the caller comes.
#[derive(Debug, Clone, Copy)]
enum Caller {
    Nobody,
    /// With a key of the wrong door, or none at all.
    Wrong,
    Right,
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The path with a secret in place of each parameter.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    for part in path.split_inclusive('/') {
        let slash = if part.ends_with('/') { "/" } else { "" };
        let is_parameter = part.starts_with('{');
        filled += &if is_parameter { format!("{}{slash}", encoded(SECRET)) } else { part.to_owned() };
    }
    filled
}

/// The documented parameters and some of nobody's, each a secret.
fn query(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let named = parameters.iter().filter(|parameter| parameter["in"] == "query");
    let mut query: Vec<String> =
        named.map(|parameter| format!("{}={}", parameter["name"].as_str().unwrap(), encoded(SECRET))).collect();
    query.push(format!("nobodys={}&{}=1&{}", encoded(TOKEN), encoded(AES_KEY), encoded(SECRET)));
    query.join("&")
}

/// The names of the fields of the documented body.
fn fields(operation: &Value, document: &Value) -> Vec<String> {
    let contents = operation["requestBody"]["content"].as_object();
    let schema = contents.and_then(|contents| contents.values().next()).map(|content| &content["schema"]);
    let reference = schema.and_then(|schema| schema["$ref"].as_str()).unwrap_or_default();
    let schema = document.pointer(reference.trim_start_matches('#')).filter(|_| !reference.is_empty());
    let properties = schema.and_then(|schema| schema["properties"].as_object());
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

/// What a caller may send: secrets in every field, as any type, cut off, and as no JSON at all.
fn bodies(operation: &Value, document: &Value) -> Vec<String> {
    let fields = fields(operation, document);
    let all = |value: Value| Value::Object(fields.iter().map(|name| (name.clone(), value.clone())).collect());
    let whole = json!({ TOKEN: AES_KEY, "further": [SECRET, { SECRET: TOKEN }] });
    let text = all(json!(SECRET)).to_string();
    let form: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields.iter().map(|name| (name.as_str(), SECRET)))
        .append_pair(SECRET, TOKEN)
        .finish();
    vec![
        text[..text.len() - 1].to_owned(),
        all(json!([SECRET])).to_string(),
        all(json!({ SECRET: AES_KEY })).to_string(),
        whole.to_string(),
        json!(SECRET).to_string(),
        SECRET.to_owned(),
        format!("<xml><Encrypt>{AES_KEY}</Encrypt><ToUserName>{TOKEN}</ToUserName>"),
        form,
        String::new(),
    ]
}

fn shown(request: RequestBuilder, path: &str, caller: Caller) -> RequestBuilder {
    let (own, other) = if path.starts_with("/api/admin") { (ADMIN, PASSWORD) } else { (PASSWORD, ADMIN) };
    match caller {
        Caller::Nobody => request,
        Caller::Wrong => request.bearer_auth(other),
        Caller::Right => request.bearer_auth(own),
    }
}

/// Calls everything; answers land in `answers`.
pub(super) async fn every_operation(gateway: &Gateway, answers: &Answers) {
    let document = document();
    let mut wrong = Vec::new();
    for (method, path, operation) in operations(&document) {
        let target = format!("{}?{}", filled(path), query(operation));
        let call = |method: &Method, caller, body: &str, content_type: &str| {
            let request = shown(gateway.request(method.clone(), &target), path, caller)
                .header("content-type", content_type)
                .header("x-nobodys", encoded(TOKEN))
                .header("user-agent", AES_KEY)
                .header("cookie", format!("session={AES_KEY}"))
                .header("referer", format!("http://x/?{SECRET}"))
                .header("x-forwarded-for", SECRET);
            if body.is_empty() { request } else { request.body(body.to_owned()) }
        };
        wrong.extend([Caller::Nobody, Caller::Wrong].map(|caller| call(&method, caller, SECRET, "text/plain")));
        for body in bodies(operation, &document) {
            for content_type in ["application/json", "application/x-www-form-urlencoded"] {
                answers.to(call(&method, Caller::Right, &body, content_type)).await;
            }
        }
        answers.to(call(&Method::PATCH, Caller::Right, SECRET, "text/plain")).await;
        // As far as parsers get that stop at the first fault: each parameter alone.
        for pair in query(operation).split('&') {
            let one = gateway.request(method.clone(), &format!("{}?{pair}", filled(path)));
            answers.to(shown(one, path, Caller::Right)).await;
        }
    }
    // At once, because wrong ones are slowed.
    futures::future::join_all(wrong.into_iter().map(|request| answers.to(request))).await;
    for path in ["/none", "/api/admin/none", "/api/admin/corps/x", "/callback/a/b"] {
        let path = format!("{path}/{}?{}", encoded(SECRET), encoded(TOKEN));
        answers.to(gateway.get(&path).bearer_auth(ADMIN)).await;
    }
}
