//! The content of the file: corps by their ids.

use std::fmt;

use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::domain::{Corp, CorpId, CorpSource};
use crate::store::declaration::{Context, Faults, NO_OBJECT, ServiceRules, read_corp, refuse_field};

/// The corps of a document, by id.
pub fn parse(content: &[u8], now: Timestamp, rules: &dyn ServiceRules) -> Result<Vec<Corp>, Faults> {
    let mut faults = Faults::default();
    let mut corps = Vec::new();
    match serde_json::from_slice::<Document>(content) {
        Ok(document) => {
            document.unknown.iter().for_each(|name| refuse_field(name, "", &["corps"], &mut faults));
            if document.is_repeated {
                faults.add("corps", "stands there twice");
            }
            if document.corps.is_none() {
                faults.add("corps", "is missing");
            }
            for (id, value) in document.corps.iter().flat_map(|corps| &corps.0) {
                corps.extend(parse_corp(id, value, now, rules, &mut faults));
            }
        }
        // Its text names line, column and expectation. A value that it quotes could be a secret.
        Err(error) => faults.add("", syntax_fault(&error)),
    }
    corps.sort_by(|one, other| one.id.cmp(&other.id));
    for pair in corps.windows(2) {
        if let [one, other] = pair
            && one.id == other.id
        {
            faults.add(format!("corps.{}", one.id), "stands there twice");
        }
    }
    if faults.is_empty() { Ok(corps) } else { Err(faults) }
}

#[derive(Default)]
struct Document {
    corps: Option<Pairs>,
    is_repeated: bool,
    unknown: Vec<String>,
}

impl<'de> serde::Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that holds the corps")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut document = Document::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "corps" {
                        document.is_repeated |= document.corps.replace(map.next_value()?).is_some();
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        document.unknown.push(name);
                    }
                }
                Ok(document)
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// An object as written: a map would silently drop a repeated name.
struct Pairs(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of corps by their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn syntax_fault(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let shape = r#"{"corps":{"ww…":{"credentials":[…]}}}"#;
    match error.classify() {
        serde_json::error::Category::Data => format!("must have the shape {shape} (line {line}, column {column})"),
        _ => format!("is not JSON from line {line}, column {column} on; the shape is {shape}"),
    }
}

fn parse_corp(id: &str, value: &Value, now: Timestamp, rules: &dyn ServiceRules, faults: &mut Faults) -> Option<Corp> {
    let path = format!("corps.{id}");
    let parsed = CorpId::parse(id).map_err(|rule| faults.add(&path, format!("a corp id {rule}"))).ok();
    let Some(fields) = value.as_object() else {
        faults.add(path, NO_OBJECT);
        return None;
    };
    let prefix = format!("{path}.");
    let context = Context { prefix: &prefix, source: CorpSource::File, known: None, now, rules };
    // Read all the same where the id is wrong, to find the other faults.
    let stand_in = parsed.clone().or_else(|| CorpId::parse("unnamed").ok())?;
    let corp = read_corp(stand_in, fields, &context, faults);
    parsed.map(|_| corp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::Secret;
    use crate::store::declaration::AnyService;

    const KEY: &str = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt";

    fn faults(document: &Value) -> Vec<String> {
        let faults = parse(document.to_string().as_bytes(), Timestamp::UNIX_EPOCH, &AnyService).unwrap_err();
        faults.iter().map(|(path, rule)| format!("{path}: {rule}")).collect()
    }

    #[test]
    fn reads_every_field() {
        let document = json!({ "corps": { "wwB": {}, "wwA": {
            "credentials": [
                { "token": "t1", "encodingAESKey": KEY, "receiveIds": ["", "ww9"], "label": "new" },
                { "token": "t2", "encodingAESKey": KEY },
            ],
            "wecomProxy": "http://user:password@proxy:3128",
            "services": { "crm": { "url": "http://crm/hook", "events": ["*"], "format": "json" } },
        } } });
        let corps = parse(document.to_string().as_bytes(), Timestamp::UNIX_EPOCH, &AnyService).unwrap();
        let [a, b] = &corps[..] else { panic!("two corps") };
        assert_eq!((a.id.as_str(), b.id.as_str()), ("wwA", "wwB"));
        assert_eq!(a.source, CorpSource::File);
        assert_eq!(a.wecom_proxy, Some(Secret::new("http://user:password@proxy:3128")));
        assert_eq!(a.services[0].name.as_str(), "crm");
        let first = &a.credentials[0];
        assert_eq!((first.pair.token().expose(), first.pair.aes_key().text().expose()), ("t1", KEY));
        assert_eq!(
            (first.receive_ids.clone(), first.label.as_deref()),
            (vec![String::new(), "ww9".into()], Some("new"))
        );
        assert_eq!(a.credentials[1].receive_ids, Vec::<String>::new());
        assert!(b.credentials.is_empty());
    }

    #[test]
    fn names_all_faults_at_once_and_no_value() {
        let document = json!({ "corps": {
            "w w": {},
            "ww1": { "credentials": [
                { "token": "", "encodingAESKey": "s3cret", "lable": "s3cret" },
                { "token": 7, "receiveIds": ["a", 1], "label": [] },
                "s3cret",
            ], "wecomProxy": "s3cret", "services": [] },
            "ww2": { "credentials": "s3cret" },
            "ww3": "s3cret",
        } });
        let found = faults(&document);
        assert_eq!(
            found,
            [
                "corps.w w: a corp id must be 1 to 64 characters of A-Z a-z 0-9 _ -",
                "corps.ww1.credentials[0].lable: is unknown; known are token, encodingAESKey, receiveIds, label",
                "corps.ww1.credentials[0].token: must not be empty",
                "corps.ww1.credentials[0].encodingAESKey: must be the 43 characters of EncodingAESKey as WeCom shows it",
                "corps.ww1.credentials[1].token: must be a string",
                "corps.ww1.credentials[1].encodingAESKey: is missing",
                "corps.ww1.credentials[1].receiveIds[1]: must be a string",
                "corps.ww1.credentials[1].label: must be a string",
                "corps.ww1.credentials[2]: must be an object",
                "corps.ww1.wecomProxy: must be http(s)://[user:password@]host[:port]",
                "corps.ww1.services: must be an object",
                "corps.ww2.credentials: must be a list",
                "corps.ww3: must be an object",
            ]
        );
    }

    #[test]
    fn a_document_of_another_shape_is_named_by_its_place() {
        for content in ["", "{", "[]", r#"{"corps":"s3cret"}"#] {
            let faults = parse(content.as_bytes(), Timestamp::UNIX_EPOCH, &AnyService).unwrap_err().to_string();
            assert!(faults.contains("line") && !faults.contains("s3cret"), "{faults}");
        }
    }

    #[test]
    fn what_stands_beside_the_corps_hides_no_fault_of_theirs() {
        let found = faults(&json!({ "corps": { "ww1": 7 }, "s3cret-1": 1, "version": 1 }));
        assert_eq!(
            found,
            [
                "(a field): is unknown; known are corps",
                "version: is unknown; known are corps",
                "corps.ww1: must be an object"
            ]
        );
        assert_eq!(faults(&json!({})), ["corps: is missing"]);
    }

    #[test]
    fn a_corp_that_stands_there_twice_is_a_fault() {
        let twice = parse(br#"{"corps":{"ww1":{},"ww1":{}}}"#, Timestamp::UNIX_EPOCH, &AnyService).unwrap_err();
        assert_eq!(twice.to_string(), "corps.ww1: stands there twice");
        let twice = parse(br#"{"corps":{"ww1":{}},"corps":{}}"#, Timestamp::UNIX_EPOCH, &AnyService).unwrap_err();
        assert_eq!(twice.to_string(), "corps: stands there twice");
    }

    proptest! {
        #[test]
        fn no_content_panics(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&content, Timestamp::UNIX_EPOCH, &AnyService);
        }
    }
}
