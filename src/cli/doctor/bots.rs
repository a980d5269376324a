//! Each registered bot's endpoint, by the probe that the gateway itself sends to bots that are away.

use url::{Host, Url};

use crate::dispatcher::{Format, Forwarder};
use crate::domain::Puppet;
use crate::egress::{Courier, Undelivered};

use super::finding::{Check, Finding, Part, Tried};
use super::gateway::Place;
use super::setup::{LIMIT, Setup};

const OWN_ENDPOINT: &str = "set the bot's PUPPET_WXKF_SELF_ENDPOINT to an address under which the gateway reaches it";

pub(super) fn checks(setup: &Setup) -> Vec<Check<'_>> {
    let none = Tried::new(Part::Bot, "", "looked for registered bots");
    if setup.stored.is_some() && setup.online_bots().next().is_none() {
        return vec![Check::done(none.skipped("none is registered: a bot registers once, when it starts"))];
    }
    let denied = &setup.config.dispatch_deny_networks;
    match Courier::new(denied, setup.config.dispatch_timeout.min(LIMIT)) {
        Ok(courier) => {
            let forwarder = Forwarder::new(courier, Format::Decrypted);
            setup.online_bots().map(|bot| check(setup, bot, forwarder.clone())).collect()
        }
        Err(_) => {
            vec![Check::done(none.wrong("no outgoing calls can be set up", "see that the machine has certificates"))]
        }
    }
}

fn check<'s>(setup: &'s Setup, bot: &'s Puppet, forwarder: Forwarder) -> Check<'s> {
    let what = Tried::new(Part::Bot, bot.kf_id.as_str(), format!("GET {}/callback", bot.endpoint));
    Check::new(what.clone(), async move { vec![probed(setup, bot, &forwarder, what).await] })
}

async fn probed(setup: &Setup, bot: &Puppet, forwarder: &Forwarder, tried: Tried) -> Finding {
    let elsewhere = setup.gateway.as_ref().filter(|running| running.place == Place::Elsewhere);
    let loopback = is_loopback(bot);
    if let Some(running) = elsewhere.filter(|_| loopback) {
        let seen = format!("a loopback address: {} takes it for its own machine", running.name());
        return tried.warning(seen, OWN_ENDPOINT);
    }
    match forwarder.knock(bot).await {
        Ok(()) if loopback => tried.ok("it answers, at a loopback address: as long as bot and gateway share a machine"),
        Ok(()) => tried.ok("it answers"),
        Err(Undelivered::Denied(reason)) => tried.wrong(
            reason,
            "let the bot register with another address, or take the network out of DISPATCH_DENY_NETWORKS",
        ),
        Err(Undelivered::NoConnection(reason) | Undelivered::NoAnswer(reason)) if elsewhere.is_some() => {
            tried.warning(reason, "from here; the gateway may reach it from where it runs")
        }
        Err(Undelivered::NoConnection(reason) | Undelivered::NoAnswer(reason)) => {
            let since = bot.away_since.map(|since| format!("; away since {since}")).unwrap_or_default();
            tried.wrong(format!("{reason}{since}"), away(loopback))
        }
    }
}

fn away(loopback: bool) -> String {
    let start = "start the bot, or let an operator delete its registration if it is gone for good";
    if loopback {
        return format!("{start}; a loopback address means the gateway's own machine or container: {OWN_ENDPOINT}");
    }
    format!("{start}; if it runs, {OWN_ENDPOINT}")
}

fn is_loopback(bot: &Puppet) -> bool {
    match bot.endpoint.url().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
