//! WeCom's inner XML as JSON.
//!
//! The mapping is total and guesses nothing, so that two events of one kind cannot differ in their
//! types by chance:
//!
//! - The root's children are the members, in their order; the root's own name is left out.
//! - An element is its text, a string: also of digits, also empty.
//! - An element with children is an object of them.
//! - Elements of one name are a list in their order, at the place of the first. One alone is no list:
//!   the XML does not say whether there could have been more.
//! - A CDATA section is text to the byte. White space around it and around plain text is layout.
//! - Text beside child elements, which WeCom never sends, is their sibling `#text`.
//! - Attributes, comments and processing instructions are left out.

mod webhook;

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};
use serde_json::{Map, Value};

pub use webhook::{Element, Webhook};

/// What a callback may hold at most.
const SIZE_LIMIT: usize = 1024 * 1024;
/// WeCom nests five deep. Lists double the depth in JSON, whose readers stop at some 128.
const DEPTH_LIMIT: usize = 32;
/// XML's own, and no other: an ideographic space is somebody's text.
const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];
const BESIDE_CHILDREN: &str = "#text";

/// The root's children. `None`: no XML, a document type in it, or beyond the limits of size and depth.
pub fn json(message_xml: &[u8]) -> Option<Map<String, Value>> {
    if message_xml.len() > SIZE_LIMIT {
        return None;
    }
    let text = std::str::from_utf8(message_xml).ok()?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut walk = Walk::default();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => walk.open(start.name().as_ref())?,
            Event::Empty(start) => {
                walk.open(start.name().as_ref())?;
                walk.close()?;
            }
            Event::End(_) => walk.close()?,
            Event::Text(text) => walk.text(&text.xml10_content())?,
            Event::CData(text) => walk.innermost()?.text.push_content(&text.xml10_content()),
            Event::GeneralRef(reference) => walk.innermost()?.text.push_content(&resolve(&reference)?),
            Event::DocType(_) => return None,
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return if walk.open.is_empty() { walk.root } else { None },
        }
    }
}

/// Nothing is expanded but characters by number and the five names of XML itself.
fn resolve<'x>(reference: &BytesRef<'_>) -> Option<Cow<'x, str>> {
    match reference.resolve_char_ref().ok()? {
        Some(char) => Some(Cow::Owned(char.into())),
        None => resolve_xml_entity(reference).map(Cow::Borrowed),
    }
}

/// The way through a document. No recursion: whoever can sign may nest.
#[derive(Default)]
struct Walk {
    /// The elements that we are in, the innermost last.
    open: Vec<Open>,
    root: Option<Map<String, Value>>,
}

struct Open {
    name: String,
    children: Map<String, Value>,
    text: Text,
}

impl Walk {
    fn open(&mut self, name: &str) -> Option<()> {
        if self.root.is_some() || self.open.len() == DEPTH_LIMIT {
            return None;
        }
        self.open.push(Open { name: name.to_owned(), children: Map::new(), text: Text::default() });
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let Open { name, children, text } = self.open.pop()?;
        let text = text.trimmed();
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(beside(children, text));
            return Some(());
        };
        let value = if children.is_empty() { Value::String(text) } else { Value::Object(beside(children, text)) };
        add(&mut parent.children, name, value);
        Some(())
    }

    fn text(&mut self, text: &str) -> Option<()> {
        match self.open.last_mut() {
            Some(element) => element.text.whole.push_str(text),
            None if text.trim_matches(WHITE_SPACE).is_empty() => {}
            None => return None,
        }
        Some(())
    }

    /// Only white space may stand outside of the root.
    fn innermost(&mut self) -> Option<&mut Open> {
        self.open.last_mut()
    }
}

fn beside(mut children: Map<String, Value>, text: String) -> Map<String, Value> {
    if !text.is_empty() {
        add(&mut children, BESIDE_CHILDREN.to_owned(), Value::String(text));
    }
    children
}

fn add(children: &mut Map<String, Value>, name: String, value: Value) {
    match children.get_mut(&name) {
        None => {
            children.insert(name, value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => {
            let list = vec![first.take(), value];
            *first = Value::Array(list);
        }
    }
}

/// The text of an element, and which part of it is more than layout whatever it looks like.
#[derive(Default)]
struct Text {
    whole: String,
    content: Option<(usize, usize)>,
}

impl Text {
    /// From a CDATA section or a reference.
    fn push_content(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let from = self.whole.len();
        self.whole.push_str(text);
        let start = self.content.map_or(from, |(start, _)| start);
        self.content = Some((start, self.whole.len()));
    }

    fn trimmed(mut self) -> String {
        let (start, end) = self.content.unwrap_or((self.whole.len(), 0));
        let before = self.whole.len() - self.whole.trim_start_matches(WHITE_SPACE).len();
        let after = self.whole.trim_end_matches(WHITE_SPACE).len();
        self.whole.truncate(end.max(after));
        self.whole.drain(..start.min(before).min(self.whole.len()));
        self.whole
    }
}

#[cfg(test)]
mod tests;
