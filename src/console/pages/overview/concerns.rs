//! What somebody should look at, the widest first.

use super::numbers::Numbers;
use crate::admin::Desk;
use crate::admin::corps::CorpView;
use crate::console::pages::corps::{LATELY, LastCheck};
use crate::console::shell::Shell;
use crate::domain::CorpId;
use crate::http::health::Ready;

/// Things of one kind that are named one by one.
const NAMED: usize = 5;
/// Something that somebody should look at.
pub(super) struct Concern {
    pub what: String,
    pub why: String,
    /// Where to look further, below the console.
    pub path: String,
}

impl Concern {
    fn new(what: String, why: String, path: &str) -> Self {
        Self { what, why, path: path.to_owned() }
    }
}

pub(super) fn of(shell: &Shell, desk: &Desk, ready: &Ready, corps: &[CorpView], numbers: &Numbers) -> Vec<Concern> {
    let t = shell.t;
    let parts = ready.degraded.iter();
    let mut all: Vec<Concern> =
        parts.map(|part| Concern::new(t.part_fails.replace("{}", part.part), t.say(&part.error), "")).collect();
    all.extend(corps.iter().filter_map(|corp| refused(shell, desk, corp)));
    all.extend(bots(shell, numbers));
    for (service, error) in &numbers.behind {
        let Some(error) = error else { continue };
        let (corp, name) = service.split_once('/').unwrap_or_default();
        let path = format!("deliveries?corpId={corp}&service={name}");
        all.push(Concern::new(t.service_fails.replace("{}", service), t.say(error), &path));
    }
    if !numbers.expired.is_none() {
        let what = t.events_given_up.replace("{}", &numbers.expired.text());
        all.push(Concern::new(what, t.events_given_up_do.to_owned(), "deliveries?state=expired"));
    }
    for (corp, error) in numbers.without_token.iter().take(NAMED) {
        all.push(Concern::new(t.token_fails.replace("{}", corp), t.say(error), "tokens"));
    }
    all
}

/// A corp whose last callback was refused.
fn refused(shell: &Shell, desk: &Desk, corp: &CorpView) -> Option<Concern> {
    let id = CorpId::parse(&corp.corp_id).ok()?;
    let LastCheck::Refused(failure) = LastCheck::of(desk, &id, shell.now) else { return None };
    if shell.now.duration_since(failure.at) > LATELY {
        return None;
    }
    let what = shell.t.corp_fails.replace("{}", &corp.corp_id);
    Some(Concern::new(what, shell.t.cause(&failure.cause).0, &format!("corps/{}", corp.corp_id)))
}

fn bots(shell: &Shell, numbers: &Numbers) -> Vec<Concern> {
    let t = shell.t;
    let mut all = Vec::new();
    let listed = |names: Vec<&str>| {
        let more = if names.len() > NAMED { " …" } else { "" };
        format!("{}{more}", names.into_iter().take(NAMED).collect::<Vec<_>>().join(t.comma))
    };
    let away = &numbers.bots.away;
    if !away.is_empty() {
        let names = listed(away.iter().map(String::as_str).collect());
        let what = t.bots_away.replace("{}", &away.len().to_string());
        all.push(Concern::new(what, format!("{names}{}{}", t.dash, t.bots_away_do), "bots"));
    }
    let failing = &numbers.bots.failing;
    if let Some((_, error)) = failing.first() {
        let names = listed(failing.iter().map(|(name, _)| name.as_str()).collect());
        let what = t.bots_failing.replace("{}", &failing.len().to_string());
        all.push(Concern::new(what, format!("{names}{}{}", t.dash, t.say(error)), "bots"));
    }
    all
}
