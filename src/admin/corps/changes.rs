//! What a declaration changes, in words for the record: credentials by their ids.

use crate::domain::{CallbackCredential, Corp, Service};

/// `None`: nothing.
pub(super) fn between(before: Option<&Corp>, after: &Corp) -> Option<String> {
    let Some(before) = before else {
        let proxy = if after.wecom_proxy.is_some() { ", with wecomProxy" } else { "" };
        let services = match &*after.services {
            [] => String::new(),
            some => format!(", services {}", names(some)),
        };
        return Some(format!("declared with credentials {}{proxy}{services}", ids(&after.credentials)));
    };
    let mut changes = Vec::new();
    let lacking = |credential: &&CallbackCredential, list: &[CallbackCredential]| {
        !list.iter().any(|other| other.pair == credential.pair)
    };
    let added: Vec<_> = after.credentials.iter().filter(|one| lacking(one, &before.credentials)).collect();
    let removed: Vec<_> = before.credentials.iter().filter(|one| lacking(one, &after.credentials)).collect();
    if !added.is_empty() {
        changes.push(format!("credentials added {}", ids(added)));
    }
    if !removed.is_empty() {
        changes.push(format!("credentials removed {}", ids(removed)));
    }
    // Their order is the one in which they are tried.
    if changes.is_empty() && before.credentials != after.credentials {
        changes.push("labels, receive ids, number or order of credentials changed".to_owned());
    }
    changes.extend(match (&before.wecom_proxy, &after.wecom_proxy) {
        (None, Some(_)) => Some("wecomProxy set".to_owned()),
        (Some(_), None) => Some("wecomProxy removed".to_owned()),
        (before, after) => (before != after).then(|| "wecomProxy changed".to_owned()),
    });
    if before.services != after.services {
        changes.push(format!("services are now {}", names(&after.services)));
    }
    (!changes.is_empty()).then(|| changes.join("; "))
}

fn names(services: &[Service]) -> String {
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What a withdrawn declaration held.
pub(super) fn withdrawn(corp: &Corp) -> String {
    format!("withdrawn with credentials {}", ids(&corp.credentials))
}

fn ids<'c>(credentials: impl IntoIterator<Item = &'c CallbackCredential>) -> String {
    let ids: Vec<&str> = credentials.into_iter().map(|credential| credential.pair.id().as_str()).collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{CorpId, CorpSource, EncodingAesKey, Pair, Secret};

    fn credential(token: &str) -> CallbackCredential {
        let key = EncodingAesKey::parse(&"A".repeat(43)).unwrap();
        Pair::new(Secret::new(token), key).into()
    }

    fn corp(tokens: &[&str]) -> Corp {
        Corp {
            id: CorpId::parse("ww1").unwrap(),
            source: CorpSource::Admin,
            credentials: tokens.iter().map(|token| credential(token)).collect(),
            wecom_proxy: None,
            services: Vec::new(),
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn names_what_came_and_went() {
        let [one, two] = ["one", "two"].map(|token| credential(token).pair.id().clone());
        assert_eq!(between(None, &corp(&[])).unwrap(), "declared with credentials none");
        assert_eq!(between(None, &corp(&["one"])).unwrap(), format!("declared with credentials {one}"));
        let rotated = between(Some(&corp(&["one"])), &corp(&["two"])).unwrap();
        assert_eq!(rotated, format!("credentials added {two}; credentials removed {one}"));
        assert_eq!(withdrawn(&corp(&["one", "two"])), format!("withdrawn with credentials {one}, {two}"));
        let reordered = between(Some(&corp(&["one", "two"])), &corp(&["two", "one"])).unwrap();
        assert!(reordered.contains("order"), "{reordered}");
    }

    #[test]
    fn says_that_a_proxy_changed_and_not_to_what() {
        let with = |proxy: Option<&str>| Corp { wecom_proxy: proxy.map(Secret::new), ..corp(&["one"]) };
        let (a, b) = (with(Some("http://u:a@p")), with(Some("http://u:b@p")));
        assert_eq!(between(Some(&with(None)), &a).unwrap(), "wecomProxy set");
        assert_eq!(between(Some(&a), &b).unwrap(), "wecomProxy changed");
        assert_eq!(between(Some(&a), &with(None)).unwrap(), "wecomProxy removed");
    }

    #[test]
    fn the_same_again_is_no_change() {
        let again = Corp { updated_at: Timestamp::MAX, ..corp(&["one", "two"]) };
        assert_eq!(between(Some(&corp(&["one", "two"])), &again), None);
    }
}
