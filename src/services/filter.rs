//! Which events a service takes, by WeCom's own names.
//!
//! What is left out stays out, in whatever order the list says it: `["*", "!text"]` and
//! `["!text", "*"]` are the same. A list that takes nothing is a slip and refused, not a service that
//! waits forever.

use std::fmt;

use serde_json::{Map, Value};

use super::format;

/// WeCom's names are some 30 characters long; there are about a hundred of them.
const NAME_LIMIT: usize = 128;
const ENTRIES_LIMIT: usize = 500;

/// WeCom's own name of what happened: `Event`, else `MsgType`, else `InfoType`; with `ChangeType` as
/// `change_contact.create_user`. Empty where the message names nothing (payments have a `notify_type` only).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName(String);

impl EventName {
    /// The name in an inner XML; `None` where [`format::json`] reads none.
    pub fn of(message_xml: &[u8]) -> Option<Self> {
        Some(Self::in_message(&format::json(message_xml)?))
    }

    /// The same of a message that was read already.
    pub fn in_message(message: &Map<String, Value>) -> Self {
        let name = ["Event", "MsgType", "InfoType"].into_iter().find_map(|element| text(message, element));
        match (name, text(message, "ChangeType")) {
            (Some(name), Some(change)) => Self(format!("{name}.{change}")),
            (name, _) => Self(name.unwrap_or_default().to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first of repeated elements counts, as everywhere in the gateway.
fn text<'m>(message: &'m Map<String, Value>, element: &str) -> Option<&'m str> {
    let value = message.get(element)?;
    let text = value.as_str().or_else(|| value.as_array()?.first()?.as_str())?.trim();
    (!text.is_empty()).then_some(text)
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a service asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    takes: Vec<Pattern>,
    leaves_out: Vec<Pattern>,
}

impl Filter {
    /// From `events`: names, `*` for all, `!name` to leave one out. What is wrong is told with the mend.
    pub fn parse(events: &[String]) -> Result<Self, String> {
        if events.len() > ENTRIES_LIMIT {
            return Err(format!("has {} entries: at most {ENTRIES_LIMIT} are possible", events.len()));
        }
        let (mut takes, mut leaves_out) = (Vec::new(), Vec::new());
        for entry in events {
            match entry.strip_prefix('!') {
                Some("*") => {
                    return Err("has \"!*\", which leaves out everything: name what the service takes".to_owned());
                }
                Some(name) => leaves_out.push(Pattern::parse(name)?),
                None => takes.push(Pattern::parse(entry)?),
            }
        }
        match (&*takes, &*leaves_out) {
            ([], []) => return Err("is empty: name what the service takes, or \"*\" for everything".to_owned()),
            ([], _) => return Err("only leaves out: add \"*\" to take everything else".to_owned()),
            _ => {}
        }
        if let Some(both) = takes.iter().find(|taken| leaves_out.iter().any(|out| out.covers(taken.text()))) {
            return Err(format!("both takes and leaves out {both}: keep one of the two", both = both.text()));
        }
        Ok(Self { takes, leaves_out })
    }

    pub fn takes(&self, event: &EventName) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.covers(&event.0));
        any(&self.takes) && !any(&self.leaves_out)
    }
}

/// One entry, without its `!`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Everything,
    /// With or without a `ChangeType`.
    Name(String),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let is_name = |part: &str| !part.is_empty() && part.len() <= NAME_LIMIT && part.bytes().all(known);
        let (name, change) = text.split_once('.').map_or((text, None), |(name, change)| (name, Some(change)));
        match change {
            Some("*") if is_name(name) => {
                Err(format!("has \"{text}\": write \"{name}\", which takes every ChangeType"))
            }
            _ if is_name(name) && change.is_none_or(is_name) => Ok(Self::Name(text.to_owned())),
            _ => {
                let shown: String = text.chars().take(64).collect();
                Err(format!("has {shown:?}, which is no name of an event such as text or change_contact.create_user"))
            }
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Everything => "*",
            Self::Name(name) => name,
        }
    }

    /// Whether it is this name, or the same without its `ChangeType`.
    fn covers(&self, event: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Name(name) => {
                event.strip_prefix(&**name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(events: &[&str]) -> Result<Filter, String> {
        Filter::parse(&events.iter().map(|&event| event.to_owned()).collect::<Vec<_>>())
    }

    fn event(name: &str) -> EventName {
        EventName(name.to_owned())
    }

    fn named(xml: &str) -> Option<String> {
        EventName::of(xml.as_bytes()).map(|name| name.to_string())
    }

    #[test]
    fn an_event_is_named_by_event_type_or_info_type() {
        assert_eq!(named("<xml><MsgType>event</MsgType><Event>click</Event></xml>").as_deref(), Some("click"));
        assert_eq!(named("<xml><MsgType>text</MsgType><Event/></xml>").as_deref(), Some("text"));
        assert_eq!(
            named("<xml><InfoType> <![CDATA[ suite_ticket]]></InfoType></xml>").as_deref(),
            Some("suite_ticket")
        );
        let changed = "<xml><InfoType>change_contact</InfoType><ChangeType>create_user</ChangeType></xml>";
        assert_eq!(named(changed).as_deref(), Some("change_contact.create_user"));
        assert_eq!(named("<xml><Event>first</Event><Event>second</Event></xml>").as_deref(), Some("first"));
        for nameless in ["<xml><A><Event>deep</Event></A></xml>", "<xml><Event><A>x</A></Event></xml>", "<xml/>"] {
            assert_eq!(named(nameless).as_deref(), Some(""), "{nameless}");
        }
        assert_eq!(named("no XML"), None);
        assert!(filter(&["*", "!text"]).unwrap().takes(&event("")) && !filter(&["text"]).unwrap().takes(&event("")));
    }

    #[test]
    fn a_name_takes_every_change_type_and_a_dotted_one_takes_its_own() {
        let whole = filter(&["change_contact", "LOCATION"]).unwrap();
        for taken in ["change_contact", "change_contact.create_user", "LOCATION"] {
            assert!(whole.takes(&event(taken)), "{taken}");
        }
        for left in ["location", "change_external_contact", "change", "contact"] {
            assert!(!whole.takes(&event(left)), "{left}");
        }
        let one = filter(&["change_contact.create_user"]).unwrap();
        assert!(one.takes(&event("change_contact.create_user")));
        assert!(!one.takes(&event("change_contact")) && !one.takes(&event("change_contact.update_user")));
    }

    #[test]
    fn what_is_left_out_stays_out_in_any_order() {
        for events in [["*", "!text", "!change_contact.update_tag"], ["!change_contact.update_tag", "!text", "*"]] {
            let filter = filter(&events).unwrap();
            assert!(filter.takes(&event("image")) && filter.takes(&event("change_contact.create_user")));
            assert!(!filter.takes(&event("text")) && !filter.takes(&event("change_contact.update_tag")));
        }
    }

    #[test]
    fn a_slip_is_told_with_its_mend() {
        let told: [(&[&str], &str); 12] = [
            (&[], "\"*\" for everything"),
            (&["!text"], "add \"*\""),
            (&["!*"], "name what the service takes"),
            (&["*", "!*"], "name what the service takes"),
            (&["text", "!text"], "takes and leaves out text"),
            (&["change_contact.create_user", "!change_contact"], "leaves out change_contact.create_user"),
            (&["change_contact.*"], "write \"change_contact\""),
            (&[""], "no name"),
            (&["a b"], "no name"),
            (&["a.b.c"], "no name"),
            (&["!!a"], "no name"),
            (&[" *"], "no name"),
        ];
        for (events, part) in told {
            let error = filter(events).unwrap_err();
            assert!(error.contains(part), "{events:?}: {error}");
        }
        assert!(filter(&vec!["a"; ENTRIES_LIMIT + 1]).unwrap_err().contains("at most"));
    }

    proptest! {
        #[test]
        fn a_filter_takes_what_it_names_and_nothing_that_it_leaves_out(
            names in proptest::collection::vec("[a-c](\\.[x-y])?", 1..4),
            out in proptest::collection::vec("[a-c](\\.[x-y])?", 0..4),
            event_name in "[a-d](\\.[x-z])?",
        ) {
            let entries: Vec<String> = names.iter().cloned().chain(out.iter().map(|name| format!("!{name}"))).collect();
            let event = event(&event_name);
            let is_named = |name: &String| *name == event_name || Some(&**name) == event_name.split('.').next();
            if let Ok(filter) = Filter::parse(&entries) {
                prop_assert_eq!(filter.takes(&event), names.iter().any(is_named) && !out.iter().any(is_named));
            }
        }

        #[test]
        fn any_entry_is_taken_or_told(entries: Vec<String>) {
            if let Err(told) = Filter::parse(&entries) {
                prop_assert!(!told.is_empty() && told.len() < 800);
            }
        }
    }
}
