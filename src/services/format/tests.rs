use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::services::filter::EventName;

fn read(xml: &str) -> Option<Value> {
    super::json(xml.as_bytes()).map(Value::Object)
}

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    event: String,
    xml: String,
    message: Value,
}

/// Every kind that WeCom documents, read by another program.
#[test]
fn every_kind_of_event_has_its_name_and_its_message() {
    let file: Vectors = serde_json::from_str(include_str!("../../../tests/vectors/events.json")).unwrap();
    assert!(file.vectors.len() > 70);
    for Vector { event, xml, message } in file.vectors {
        assert_eq!(EventName::of(xml.as_bytes()).unwrap().as_str(), event, "{xml}");
        // As text, because the order of members is part of it.
        assert_eq!(read(&xml).unwrap().to_string(), message.to_string(), "{xml}");
    }
}

#[test]
fn text_is_kept_and_layout_is_not() {
    let of = |inner: &str| read(&format!("<xml><A>{inner}</A></xml>")).unwrap()["A"].as_str().unwrap().to_owned();
    for (inner, text) in [
        ("", ""),
        (" \n\t ", ""),
        (" x y\n", "x y"),
        ("<![CDATA[]]>", ""),
        ("\n <![CDATA[ a\r\nb ]]> \n", " a\nb "),
        (" <![CDATA[ ]]> ", " "),
        ("<![CDATA[a]]]]><![CDATA[>b]]>", "a]]>b"),
        ("<![CDATA[&amp;]]> &amp; &#32;", "&amp; &  "),
        ("&#x3000;\u{3000}x\u{3000}", "\u{3000}\u{3000}x\u{3000}"),
        ("a<!-- no -->b<?no?>c", "abc"),
        ("007", "007"),
    ] {
        assert_eq!(of(inner), text, "{inner:?}");
    }
}

#[test]
fn children_lists_and_what_stands_beside_them() {
    for (xml, expected) in [
        ("<xml/>", json!({})),
        ("<any><A/><B></B></any>", json!({ "A": "", "B": "" })),
        ("<xml><L>1</L><M/><L><N/></L><L>3</L></xml>", json!({ "L": ["1", { "N": "" }, "3"], "M": "" })),
        ("<xml><A>x<B>y</B>z</A></xml>", json!({ "A": { "B": "y", "#text": "xz" } })),
        ("<xml>x</xml>", json!({ "#text": "x" })),
        ("<xml><A b='c'>x</A></xml>", json!({ "A": "x" })),
        ("\u{feff}<?xml version='1.0'?>\n<n:xml><n:A>x</n:A></n:xml>\r\n", json!({ "n:A": "x" })),
    ] {
        assert_eq!(read(xml), Some(expected), "{xml}");
    }
}

#[test]
fn refuses_what_is_no_document_or_beyond_the_limits() {
    let wrong = [
        "",
        "x",
        "{}",
        "<xml>",
        "<xml></x>",
        "</xml>",
        "<xml/><xml/>",
        "<xml/>x",
        "<xml/><![CDATA[x]]>",
        "<xml/>&amp;",
    ];
    for xml in wrong {
        assert_eq!(read(xml), None, "{xml}");
    }
    for xml in
        ["<!DOCTYPE x><xml/>", "<!DOCTYPE x [<!ENTITY e \"e\">]><xml>&e;</xml>", "<xml>&e;</xml>", "<xml>&</xml>"]
    {
        assert_eq!(read(xml), None, "{xml}");
    }
    assert_eq!(super::json(b"<xml>\xff</xml>"), None);
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(read(&nested(DEPTH_LIMIT)).is_some());
    assert_eq!(read(&nested(DEPTH_LIMIT + 1)), None);
    assert_eq!(read(&nested(100_000)), None);
    let long = |length: usize| format!("<xml>{}</xml>", "x".repeat(length - "<xml></xml>".len()));
    assert!(read(&long(SIZE_LIMIT)).is_some());
    assert_eq!(read(&long(SIZE_LIMIT + 1)), None);
}

/// A document as a model: what it is in XML, and what it must be in JSON.
#[derive(Debug, Clone)]
enum Node {
    Section(String),
    Plain(String),
    Children(Vec<(String, Node)>),
}

impl Node {
    fn xml(&self) -> String {
        match self {
            Self::Section(text) => format!(" <![CDATA[{}]]>\n", text.replace("]]>", "]]]]><![CDATA[>")),
            Self::Plain(text) => quick_xml::escape::escape(text).into_owned(),
            Self::Children(children) => {
                children.iter().map(|(name, child)| format!("<{name}>{}</{name}>\n", child.xml())).collect()
            }
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Section(text) => text.clone().into(),
            Self::Plain(text) => text.trim_matches(WHITE_SPACE).into(),
            Self::Children(children) if children.is_empty() => "".into(),
            Self::Children(children) => Value::Object(members(children)),
        }
    }
}

fn members(children: &[(String, Node)]) -> Map<String, Value> {
    let of = |name: &str| children.iter().filter(|(own, _)| own == name).map(|(_, child)| child.json()).collect();
    let value = |mut all: Vec<Value>| if all.len() == 1 { all.remove(0) } else { Value::Array(all) };
    children.iter().map(|(name, _)| (name.clone(), value(of(name)))).collect()
}

fn children() -> impl Strategy<Value = Vec<(String, Node)>> {
    // XML reads a line break of any kind as \n, so that \r has a test of its own.
    let text = "[^\\r\\p{Cc}]{0,12}|[ \\n<>&\"'\\]a]{0,12}";
    let leaf = prop_oneof![text.prop_map(Node::Section), text.prop_map(Node::Plain)];
    let node = leaf.prop_recursive(4, 40, 6, |inner| {
        proptest::collection::vec(("[A-C][a-z]?", inner), 0..6).prop_map(Node::Children)
    });
    proptest::collection::vec(("[A-C][a-z]?", node), 0..8)
}

proptest! {
    #[test]
    fn a_document_is_its_model(children in children()) {
        let xml = format!("<xml>\n{}</xml>", Node::Children(children.clone()).xml());
        prop_assert_eq!(super::json(xml.as_bytes()), Some(members(&children)), "{}", xml);
    }

    #[test]
    fn survives_any_bytes(bytes: Vec<u8>) {
        let _ = super::json(&bytes);
    }

    #[test]
    fn survives_any_markup_and_what_it_reads_is_json(xml in "(<xml>|</xml>|<A>|</A>|<B/>|<!\\[CDATA\\[|\\]\\]>|&amp;|&#x0;|&#32;|<!--|-->|<\\?|\\?>|<!DOCTYPE|x| ){0,24}") {
        if let Some(message) = super::json(xml.as_bytes()) {
            let text = serde_json::to_string(&message).unwrap();
            prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&text).unwrap(), message);
        }
    }
}
