//! No change of the document breaks a client of the last release, unless it is declared.
//!
//! `openapi/baseline.json` is the document of the last release; `openapi/breaks.txt` lists what is broken
//! since, on purpose. Compared is what `Comparison` names. Descriptions and examples break nobody.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{document, operations};

#[test]
fn no_client_of_the_last_release_breaks() {
    let file = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let baseline: Value = serde_json::from_str(&file("baseline.json")).unwrap();
    let list = file("breaks.txt");
    let declared: BTreeSet<&str> = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let found = breaks(&baseline, &document());
    for line in &found {
        assert!(declared.contains(&**line), "breaks clients, and openapi/breaks.txt does not declare it: {line}");
    }
    for line in declared {
        assert!(found.contains(line), "openapi/breaks.txt declares what breaks nobody: {line}");
    }
}

/// What breaks a client of `before`.
fn breaks(before: &Value, after: &Value) -> BTreeSet<String> {
    let mut comparison = Comparison { before, after, found: BTreeSet::new(), seen: BTreeSet::new() };
    for (method, path, operation) in operations(before) {
        let name = format!("{method} {path}");
        match after["paths"][path].get(method.as_str().to_lowercase()) {
            Some(now) => comparison.operation(&name, operation, now),
            None => comparison.breaks(&name, "is gone"),
        }
    }
    for (name, item) in before["webhooks"].as_object().into_iter().flatten() {
        let (was, now) = (&item["post"], &after["webhooks"][name]["post"]);
        let name = format!("webhook {name}");
        comparison.parameters(&name, was, now, Way::Out);
        comparison.contents(&format!("{name}: body"), &was["requestBody"], &now["requestBody"], Way::Out);
    }
    comparison.found
}

/// Which way a value goes: what comes in may be asked to be less, what goes out may not become more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    In,
    Out,
}

struct Comparison<'d> {
    before: &'d Value,
    after: &'d Value,
    found: BTreeSet<String>,
    /// Pairs of references that were compared: schemas may refer to themselves.
    seen: BTreeSet<(String, String, Way)>,
}

impl<'d> Comparison<'d> {
    fn breaks(&mut self, at: &str, what: &str) {
        self.found.insert(format!("{at} {what}"));
    }

    fn operation(&mut self, name: &str, was: &'d Value, now: &'d Value) {
        if was["operationId"] != now["operationId"] {
            self.breaks(name, "has another operationId");
        }
        let doors = |operation: &'d Value| operation["security"].as_array().into_iter().flatten();
        if doors(was).any(|door| doors(now).all(|other| other != door)) {
            self.breaks(name, "lets fewer in");
        }
        self.parameters(name, was, now, Way::In);
        let (body_was, body_now) = (&was["requestBody"], &now["requestBody"]);
        if body_now["required"] == true && body_was["required"] != true {
            self.breaks(&format!("{name}: body"), "is required");
        }
        self.contents(&format!("{name}: body"), body_was, body_now, Way::In);
        for (status, response) in was["responses"].as_object().into_iter().flatten() {
            let at = format!("{name}: {status}");
            match now["responses"].get(status) {
                Some(other) => self.response(&at, response, other),
                // Nobody misses an error.
                None if status.starts_with('2') => self.breaks(&at, "is gone"),
                None => {}
            }
        }
    }

    fn parameters(&mut self, name: &str, was: &'d Value, now: &'d Value, way: Way) {
        let list = |operation: &'d Value| operation["parameters"].as_array().into_iter().flatten();
        let same = |one: &Value, other: &Value| one["in"] == other["in"] && one["name"] == other["name"];
        let at = |parameter: &Value| format!("{name}: {}", parameter["name"].as_str().unwrap_or_default());
        for parameter in list(was) {
            match list(now).find(|other| same(parameter, other)) {
                None => self.breaks(&at(parameter), "is gone"),
                Some(other) => self.schema(&at(parameter), &parameter["schema"], &other["schema"], way),
            }
        }
        for parameter in list(now) {
            let before = list(was).find(|other| same(parameter, other)).map(|before| before["required"] == true);
            match (before.unwrap_or(false), parameter["required"] == true, way) {
                (false, true, Way::In) => self.breaks(&at(parameter), "is required"),
                (true, false, Way::Out) => self.breaks(&at(parameter), "may be missing"),
                _ => {}
            }
        }
    }

    fn response(&mut self, at: &str, was: &'d Value, now: &'d Value) {
        let (was, now) = (resolved(self.before, was), resolved(self.after, now));
        for (header, _) in was["headers"].as_object().into_iter().flatten() {
            if now["headers"].get(header).is_none() {
                self.breaks(&format!("{at}: {header}"), "is gone");
            }
        }
        self.contents(at, was, now, Way::Out);
    }

    fn contents(&mut self, at: &str, was: &'d Value, now: &'d Value, way: Way) {
        for (content_type, content) in was["content"].as_object().into_iter().flatten() {
            match now["content"].get(content_type) {
                Some(other) => self.schema(at, &content["schema"], &other["schema"], way),
                None => self.breaks(at, &format!("is no longer {content_type}")),
            }
        }
    }

    fn schema(&mut self, at: &str, was: &'d Value, now: &'d Value, way: Way) {
        if let (Some(one), Some(other)) = (was["$ref"].as_str(), now["$ref"].as_str())
            && !self.seen.insert((one.to_owned(), other.to_owned(), way))
        {
            return;
        }
        let (was, now) = (resolved(self.before, was), resolved(self.after, now));
        // In each pair, what is left must hold all of what is right.
        let (wider, narrower) = if way == Way::In { (now, was) } else { (was, now) };
        if !takes_all(&list(&wider["type"]), &list(&narrower["type"])) {
            self.breaks(at, &format!("is {} instead of {}", now["type"], was["type"]));
        }
        if !takes_all(&list(&wider["enum"]), &list(&narrower["enum"])) {
            self.breaks(at, "has other values");
        }
        for limit in ["pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"] {
            if way == Way::In && now.get(limit).is_some() && now[limit] != was[limit] {
                self.breaks(at, &format!("has another {limit}"));
            }
        }
        self.fields(at, was, now, way);
        for parts in ["oneOf", "anyOf", "allOf"] {
            let (before, after) = (list(&was[parts]), list(&now[parts]));
            let more = if way == Way::In { before.len() > after.len() } else { after.len() > before.len() };
            if more || before.is_empty() != after.is_empty() {
                self.breaks(at, "has another choice of shapes");
            }
            for (number, (one, other)) in before.into_iter().zip(after).enumerate() {
                self.schema(&format!("{at} ({})", number + 1), one, other, way);
            }
        }
    }

    fn fields(&mut self, at: &str, was: &'d Value, now: &'d Value, way: Way) {
        for (name, schema) in was["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            match now["properties"].get(name) {
                Some(other) => self.schema(&at, schema, other, way),
                None => self.breaks(&at, "is gone"),
            }
        }
        let (before, after) = (list(&was["required"]), list(&now["required"]));
        let (more, fewer, what) =
            if way == Way::In { (after, before, "is required") } else { (before, after, "may be missing") };
        for name in more.into_iter().filter(|name| !fewer.contains(name)) {
            let name = name.as_str().unwrap_or_default();
            // What is gone is told of above.
            if way == Way::In || now["properties"].get(name).is_some() {
                self.breaks(&format!("{at}.{name}"), what);
            }
        }
        if way == Way::In && now["additionalProperties"] == false && was["additionalProperties"] != false {
            self.breaks(at, "takes no other fields");
        }
        for (inner, mark) in [("items", "[]"), ("additionalProperties", ".*")] {
            if was[inner].is_object() && now[inner].is_object() {
                self.schema(&format!("{at}{mark}"), &was[inner], &now[inner], way);
            }
        }
    }
}

fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let referred = value["$ref"].as_str().and_then(|to| document.pointer(to.trim_start_matches('#')));
    referred.unwrap_or(value)
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// An empty list stands for everything.
fn takes_all(wider: &[&Value], narrower: &[&Value]) -> bool {
    wider.is_empty() || (!narrower.is_empty() && narrower.iter().all(|value| wider.contains(value)))
}

fn small() -> Value {
    json!({
        "paths": { "/x/{id}": { "put": {
            "operationId": "putX",
            "security": [{}, { "password": [] }],
            "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
            "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Body" } } } },
            "responses": { "200": {
                "headers": { "ETag": {} },
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/View" } } },
            } },
        } } },
        "webhooks": { "event": { "post": {
            "parameters": [{ "name": "webhook-id", "in": "header", "required": true, "schema": { "type": "string" } }],
            "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/View" } } } },
        } } },
        "components": { "schemas": {
            "Body": { "type": "object", "required": ["url"], "properties": {
                "url": { "type": "string" },
                "format": { "type": ["string", "null"], "enum": ["xml", "json"] },
            } },
            "View": { "type": "object", "required": ["name"], "properties": {
                "name": { "type": "string" },
                "state": { "type": "string", "enum": ["live"] },
                "inner": { "type": "array", "items": { "$ref": "#/components/schemas/View" } },
            } },
        } },
    })
}

/// The document with the value at `pointer` replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut changed = small();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = changed.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name.replace("~1", "/")] = value,
    }
    changed
}

#[test]
fn each_kind_of_break_is_found() {
    let put = "/paths/~1x~1{id}/put";
    let (body, view) = ("/components/schemas/Body", "/components/schemas/View");
    let cases = [
        ("/paths".to_owned(), json!({}), "PUT /x/{id} is gone"),
        (format!("{put}/operationId"), json!("other"), "PUT /x/{id} has another operationId"),
        (format!("{put}/security"), json!([{ "password": [] }]), "PUT /x/{id} lets fewer in"),
        (format!("{put}/parameters"), json!([]), "PUT /x/{id}: id is gone"),
        (
            format!("{put}/parameters/0/schema/type"),
            json!("integer"),
            "PUT /x/{id}: id is \"integer\" instead of \"string\"",
        ),
        (format!("{put}/parameters/0/schema/pattern"), json!("^a$"), "PUT /x/{id}: id has another pattern"),
        (format!("{put}/requestBody/required"), json!(true), "PUT /x/{id}: body is required"),
        (format!("{put}/requestBody/content"), json!({}), "PUT /x/{id}: body is no longer application/json"),
        (format!("{put}/responses"), json!({ "204": {} }), "PUT /x/{id}: 200 is gone"),
        (format!("{put}/responses/200/headers"), json!({}), "PUT /x/{id}: 200: ETag is gone"),
        (format!("{body}/required"), json!(["url", "format"]), "PUT /x/{id}: body.format is required"),
        (
            format!("{body}/properties/format/type"),
            json!("string"),
            "PUT /x/{id}: body.format is \"string\" instead of [\"string\",\"null\"]",
        ),
        (format!("{body}/properties/format/enum"), json!(["json"]), "PUT /x/{id}: body.format has other values"),
        (format!("{body}/additionalProperties"), json!(false), "PUT /x/{id}: body takes no other fields"),
        (format!("{view}/required"), json!([]), "PUT /x/{id}: 200.name may be missing"),
        (format!("{view}/properties/state/enum"), json!(["live", "new"]), "PUT /x/{id}: 200.state has other values"),
        (
            format!("{view}/properties/inner/items"),
            json!({ "type": "string" }),
            "PUT /x/{id}: 200.inner[] is \"string\" instead of \"object\"",
        ),
        (format!("{view}/oneOf"), json!([{ "type": "object" }]), "PUT /x/{id}: 200 has another choice of shapes"),
        (
            "/webhooks/event/post/parameters/0/required".to_owned(),
            json!(false),
            "webhook event: webhook-id may be missing",
        ),
        ("/webhooks/event/post/requestBody".to_owned(), json!({}), "webhook event: body is no longer application/json"),
    ];
    for (pointer, value, wanted) in cases {
        let found = breaks(&small(), &with(&pointer, value));
        assert!(found.contains(wanted), "{pointer}: {found:?}");
    }
}

#[test]
fn what_only_adds_breaks_nobody() {
    let put = "/paths/~1x~1{id}/put";
    let (body, view) = ("/components/schemas/Body", "/components/schemas/View");
    let cases = [
        ("/paths/~1y".to_owned(), json!({ "get": { "operationId": "y" } })),
        (format!("{put}/description"), json!("Otherwise said")),
        (format!("{put}/responses/404"), json!({})),
        (format!("{body}/required"), json!([])),
        (format!("{body}/properties/more"), json!({ "type": "string" })),
        (format!("{body}/properties/format/enum"), json!(["xml", "json", "yaml"])),
        (format!("{view}/properties/more"), json!({ "type": "string" })),
        (format!("{view}/required"), json!(["name", "state"])),
    ];
    for (pointer, value) in cases {
        let found = breaks(&small(), &with(&pointer, value));
        assert!(found.is_empty(), "{pointer}: {found:?}");
    }
    assert!(breaks(&document(), &document()).is_empty());
}
