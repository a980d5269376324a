//! Each secret that a registered bot gave: whether it obtains a token, and which accounts that token manages.
//!
//! With a running gateway both go through it: a token that it has is not fetched anew, and WeCom is asked from the
//! address that counts. Without one, WeCom is asked once a secret.

use std::borrow::Cow;

use crate::domain::{App, Puppet};
use crate::wecom::{Class, ListedAccount, Outbound, Refusal, WecomClient, WecomError, WecomSettings};

use super::admin;
use super::finding::{Check, Finding, Part, Tried};
use super::setup::{LIMIT, Setup, THROUGH_GATEWAY};
use super::wecom;

const SEVERAL_CORPS: &str = ". Listed already? WeCom takes an address that calls for several corps for a provider's: \
    give each corp a wecomProxy of its own";

pub(super) fn checks(setup: &Setup) -> Vec<Check<'_>> {
    let apps = setup.apps().into_iter();
    let checks = apps.map(|(app, bots)| {
        let subject = format!("{}, secret {}", app.corp_id, app.secret.fingerprint());
        let way = match &setup.gateway {
            Some(running) => format!("through {} and its cache", running.name()),
            None => "directly, once".to_owned(),
        };
        let what = Tried::new(Part::Secret, subject, format!("gettoken, {way}"));
        Check::new(what.clone(), async move { obtained(setup, &app, &bots, what).await })
    });
    checks.collect()
}

/// The gateway's client, towards WeCom or towards the gateway, which answers the same paths.
fn client(setup: &Setup) -> reqwest::Result<WecomClient> {
    let config = &setup.config;
    let Some(running) = &setup.gateway else {
        let common = wecom::client(config)?;
        // A corp's own proxy goes before the common way.
        let outbound = match &setup.stored {
            Some(stored) => Outbound::new(common, stored.directory.clone()),
            None => common.into(),
        };
        let settings = WecomSettings::new(config.wecom_api_base_url.clone(), config.access_token_url.clone());
        return Ok(WecomClient::new(WecomSettings { limit: LIMIT, ..settings }, outbound));
    };
    let mut base = running.main.clone();
    if let Some(password) = config.puppet_passwords.first() {
        // Only an address that cannot have a user refuses one.
        let _ = base.set_username("doctor").and_then(|()| base.set_password(Some(password.expose())));
    }
    // As a token service, which can be told of a token that failed.
    let mut token_url = base.clone();
    token_url.set_path("/cgi-bin/gettoken");
    let settings = WecomSettings { limit: THROUGH_GATEWAY, ..WecomSettings::new(base, Some(token_url)) };
    Ok(WecomClient::new(settings, setup.http.clone()))
}

async fn obtained(setup: &Setup, app: &App, bots: &[&Puppet], tried: Tried) -> Vec<Finding> {
    let Ok(client) = client(setup) else {
        return vec![tried.wrong("the proxy cannot be used", "set HTTPS_PROXY right")];
    };
    let mut granted = match client.gettoken(app, None).await {
        Ok(granted) => granted,
        Err(error) => return vec![failed(setup, tried, &error)],
    };
    let mut accounts = client.accounts(&app.corp_id, &granted.access_token).await;
    // Granted before the secret was reset, for one: only the renewal tells. Without a gateway it is fresh.
    if setup.gateway.is_some() && is_token_rejected(&accounts) {
        granted = match client.gettoken(app, Some(&granted.access_token)).await {
            Ok(renewed) => renewed,
            Err(error) => return vec![failed(setup, tried.and("(its cached token is dead)"), &error)],
        };
        accounts = client.accounts(&app.corp_id, &granted.access_token).await;
    }
    if let (Err(error), true) = (&accounts, is_token_rejected(&accounts)) {
        return vec![dead(setup, app, tried, error).await];
    }
    let mut findings = vec![tried.ok(format!("a token, good for {} s", granted.expires_in.as_secs()))];
    let list = |subject: String| Tried::new(Part::Account, subject, "looked for it in kf/account/list");
    match accounts {
        Ok(accounts) => findings.extend(bots.iter().map(|bot| listed(list(bot.kf_id.to_string()), bot, &accounts))),
        Err(error) => {
            let subject = format!("{}, secret {}", app.corp_id, app.secret.fingerprint());
            findings.push(failed(setup, list(subject), &error));
        }
    }
    findings
}

/// WeCom refuses a token that it granted, and the gateway has no other: it asks for one once a minute at most.
async fn dead(setup: &Setup, app: &App, tried: Tried, error: &WecomError) -> Finding {
    let renewal = admin::last_error(setup, &app.key()).await.map(|error| format!("; of its renewal: {error}"));
    let advice = "see whether the secret was reset or the app disabled in WeCom's console; if so, let the bot register \
        with the present one";
    tried.wrong(format!("a token, of which {error}{}", renewal.unwrap_or_default()), advice)
}

fn is_token_rejected<T>(outcome: &Result<T, WecomError>) -> bool {
    matches!(outcome, Err(WecomError::Refused(refusal)) if refusal.class() == Class::TokenRejected)
}

fn listed(tried: Tried, bot: &Puppet, accounts: &[ListedAccount]) -> Finding {
    match accounts.iter().find(|account| account.open_kfid == bot.kf_id.as_str()) {
        Some(account) if account.manage_privilege => tried.ok("the app manages it"),
        Some(_) => tried.wrong(
            format!("the app of {} sees the account but may not manage it (no manage_privilege)", bot.corp_id),
            "let the app manage the account: WeCom's console, customer service (微信客服), API",
        ),
        None => tried.wrong(
            format!("none of the {} accounts that the app of {} sees", accounts.len(), bot.corp_id),
            "the account was deleted, or belongs to another app or corp: check that the bot's kfId, corpId and \
             corpSecret belong together",
        ),
    }
}

fn failed(setup: &Setup, tried: Tried, error: &WecomError) -> Finding {
    let through_gateway = setup.gateway.is_some();
    let seen = error.to_string();
    match error {
        WecomError::Refused(refusal) => {
            let mut advice = advice(refusal);
            if refusal.errcode.0 == 60020 && setup.corps().len() > 1 {
                advice.push_str(SEVERAL_CORPS);
            }
            if through_gateway && refusal.class() == Class::BadCredentials {
                advice.push_str(". The gateway remembers a refusal; renewing the token in its admin API forgets it");
            }
            if refusal.errcode.0 == -1 { tried.warning(seen, advice) } else { tried.wrong(seen, advice) }
        }
        WecomError::BadAnswer { reason, .. } if through_gateway && reason == "HTTP status 401" => {
            tried.wrong("the gateway has another PUPPET_PASSWORD", "run doctor with the gateway's own settings")
        }
        WecomError::Unreachable { .. } | WecomError::BadAnswer { .. } if through_gateway => {
            tried.wrong(seen, "see the gateway's log, and what is said of WeCom above")
        }
        // A token service may be all that this machine reaches.
        WecomError::Unreachable { .. } if setup.config.access_token_url.is_some() => {
            tried.warning(seen, "see ACCESS_TOKEN_URL, and what is said of WeCom above")
        }
        WecomError::Unreachable { .. } | WecomError::BadAnswer { .. } => {
            tried.wrong(seen, "see what is said of WeCom above")
        }
    }
}

fn advice(refusal: &Refusal) -> String {
    let known = refusal.advice().map(Cow::into_owned);
    let known = known.unwrap_or_else(|| format!("see WeCom's document 90313 for errcode {}", refusal.errcode));
    if refusal.errcode.0 == 60020 { format!("{known}; the console calls them 企业可信IP") } else { known }
}
