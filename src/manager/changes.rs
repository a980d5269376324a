//! What a registration changes, in words for the record: secrets are said to have changed, pairs are
//! named by their ids.

use super::Change;
use crate::domain::Puppet;

pub(super) fn by_registration(before: Option<&Puppet>, after: &Puppet) -> Change {
    let Some(before) = before else {
        let (corp, endpoint, pair) = (&after.corp_id, &after.endpoint, after.pair.id());
        return Change::Made(format!("new; corp {corp}, endpoint {endpoint}, pair {pair}"));
    };
    let mut changes = Vec::new();
    if before.corp_id != after.corp_id {
        changes.push(format!("corp {} -> {}", before.corp_id, after.corp_id));
    }
    if before.endpoint != after.endpoint {
        changes.push(format!("endpoint {} -> {}", before.endpoint, after.endpoint));
    }
    if before.pair != after.pair {
        changes.push(format!("pair {} -> {}", before.pair.id(), after.pair.id()));
    }
    if before.corp_secret != after.corp_secret {
        changes.push("corpSecret changed".to_owned());
    }
    if before.name != after.name {
        changes.push("kfName changed".to_owned());
    }
    if !before.online {
        changes.push("online again".to_owned());
    }
    if changes.is_empty() { Change::Nothing } else { Change::Made(changes.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CorpId, EncodingAesKey, Endpoint, OpenKfId, Pair, Secret};

    fn puppet() -> Puppet {
        Puppet {
            kf_id: OpenKfId::parse("wk1").unwrap(),
            name: "support".to_owned(),
            endpoint: Endpoint::parse("http://a").unwrap(),
            corp_id: CorpId::parse("ww1").unwrap(),
            corp_secret: Secret::new("seeded-secret"),
            pair: Pair::new(Secret::new("seeded-token"), EncodingAesKey::parse(&"A".repeat(43)).unwrap()),
            online: true,
            last_online_at: None,
            registered_at: None,
            away_since: None,
        }
    }

    fn made(before: Option<&Puppet>, after: &Puppet) -> String {
        let Change::Made(changes) = by_registration(before, after) else { panic!("nothing changed") };
        assert!(!changes.contains("seeded") && !changes.contains("AAA"), "{changes}");
        changes
    }

    #[test]
    fn a_new_bot_is_told_with_where_it_is() {
        let bot = puppet();
        assert_eq!(made(None, &bot), format!("new; corp ww1, endpoint http://a, pair {}", bot.pair.id()));
    }

    #[test]
    fn each_change_is_told_and_no_secret() {
        let before = Puppet { online: false, ..puppet() };
        let after = Puppet {
            name: "other".to_owned(),
            endpoint: Endpoint::parse("http://b").unwrap(),
            corp_id: CorpId::parse("ww2").unwrap(),
            corp_secret: Secret::new("seeded-other"),
            pair: Pair::new(Secret::new("seeded-new"), puppet().pair.aes_key().clone()),
            ..puppet()
        };
        let pairs = format!("{} -> {}", before.pair.id(), after.pair.id());
        let expected = format!(
            "corp ww1 -> ww2; endpoint http://a -> http://b; pair {pairs}; corpSecret changed; kfName changed; online again"
        );
        assert_eq!(made(Some(&before), &after), expected);
    }

    #[test]
    fn a_bot_that_restarts_as_it_was_changes_nothing() {
        assert_eq!(by_registration(Some(&puppet()), &puppet()), Change::Nothing);
    }
}
