//! Each corp's callback, as WeCom will call it: a URL verification signed with the corp's own credential, sent
//! through `PUBLIC_URL`, or straight to the gateway without one. When the public way fails, the straight one tells
//! whether the gateway or what stands before it is at fault.

use std::time::Duration;

use url::{Host, Url};

use crate::callback::OF_DOCTOR;
use crate::config::Config;
use crate::domain::CallbackCredential;
use crate::simulator::wecom::{Credential, Stamp, verification_query};

use super::ask::ask;
use super::finding::{Check, Finding, Part, Tried};
use super::setup::{KnownCorp, LIMIT, Setup};
use super::verification::{Fault, judge};

/// WeCom's own host, for which `PUBLIC_URL` must lie in the internet.
const REAL_WECOM: &str = "qyapi.weixin.qq.com";
/// What WeCom waits for a verification.
const WECOM_WAITS: Duration = Duration::from_secs(1);

pub(super) fn checks(setup: &Setup) -> Vec<Check<'_>> {
    let mut checks: Vec<Check<'_>> = private_url(&setup.config).into_iter().map(Check::done).collect();
    if setup.stored.is_some() && setup.corps().is_empty() {
        let none = Tried::new(Part::Callback, "", "looked for corps in the store and in CORPS_FILE");
        let advice = "declare the corp (PUT /api/admin/corps/{corpId}, or CORPS_FILE), or let its bot register";
        checks.push(Check::done(none.warning("no corp is known, so every callback is answered 404", advice)));
    }
    for corp in setup.corps() {
        checks.extend(standing(corp).into_iter().map(Check::done));
        for credential in &corp.credentials {
            let subject = format!("{}, credential {}", corp.id, credential.pair.id());
            let what = Tried::new(Part::Callback, subject, "signed a URL verification as WeCom does");
            checks.push(Check::new(what.clone(), async move { vec![verified(setup, corp, credential, what).await] }));
        }
    }
    checks
}

/// What is wrong with a corp before it is called.
fn standing(corp: &KnownCorp) -> Option<Finding> {
    let tried = Tried::new(Part::Callback, corp.id.as_str(), "looked for what opens its callbacks");
    if corp.credentials.is_empty() {
        let advice = "declare its Token and EncodingAESKey, as the app's page in WeCom's console shows them";
        return Some(tried.wrong("no credential, declared or registered, so every callback is refused", advice));
    }
    if !corp.uncovered.is_empty() {
        let seen = format!("the pair of these bots is not among its credentials: {}", corp.uncovered.join(", "));
        let advice = "they get events decrypted; if that is not meant, declare their Token and EncodingAESKey too";
        return Some(tried.warning(seen, advice));
    }
    None
}

/// An address that the internet does not know.
fn private_url(config: &Config) -> Option<Finding> {
    let url = config.public_url.as_ref()?;
    if config.wecom_api_base_url.host_str() != Some(REAL_WECOM) {
        return None;
    }
    let private = match url.host()? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".local") || !name.contains('.'),
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        Host::Ipv6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unspecified(),
    };
    let tried = Tried::new(Part::Callback, "PUBLIC_URL", format!("looked at {url}"));
    let advice = "set PUBLIC_URL to the address under which WeCom reaches the gateway (an ingress, a tunnel)";
    private.then(|| tried.wrong("WeCom calls from the internet, which does not know this address", advice))
}

async fn verified(setup: &Setup, corp: &KnownCorp, credential: &CallbackCredential, tried: Tried) -> Finding {
    let straight = setup.gateway.as_ref().map(|running| &running.main);
    let Some(base) = setup.config.public_url.as_ref().or(straight) else {
        return tried.skipped("no gateway runs here and PUBLIC_URL is unset: nobody to send it to");
    };
    let url = callback_url(base, corp);
    let tried = tried.and(format!("and sent it to {url}"));
    let fault = match call(setup, &url, corp, credential).await {
        Ok(took) if took > WECOM_WAITS => {
            let seen = format!("the right answer, but only after {} ms", took.as_millis());
            return tried
                .wrong(seen, "WeCom waits 1 s: find what is slow on the way, or a gateway that has no processor");
        }
        Ok(took) => return tried.ok(format!("the right answer within {} ms", took.as_millis())),
        Err(fault) => fault,
    };
    let Some(straight) = straight.filter(|_| setup.config.public_url.is_some()) else {
        return tried.wrong(fault.seen, fault.advice);
    };
    let verdict = match call(setup, &callback_url(straight, corp), corp, credential).await {
        Ok(_) => "the gateway itself answers it right, so the fault is on the way to it".to_owned(),
        Err(straight) => format!("the gateway itself: {}", straight.seen),
    };
    tried.wrong(format!("{}; {verdict}", fault.seen), fault.advice)
}

fn callback_url(base: &Url, corp: &KnownCorp) -> String {
    format!("{}/callback/{}", base.as_str().trim_end_matches('/'), corp.id)
}

/// How long the right answer took, or what came instead.
async fn call(setup: &Setup, url: &str, corp: &KnownCorp, credential: &CallbackCredential) -> Result<Duration, Fault> {
    let receive_id = credential.receive_ids.first().map_or(corp.id.as_str(), String::as_str);
    let sealing = Credential {
        token: credential.pair.token().clone(),
        aes_key: credential.pair.aes_key().clone(),
        receive_id: receive_id.to_owned(),
    };
    let message = format!("{OF_DOCTOR}{:016x}", rand::random::<u64>());
    let query = verification_query(&sealing, &message, &Stamp::now());
    let answer = ask(setup.http.get(format!("{url}?{query}")).timeout(LIMIT)).await;
    judge(&answer, &message).map(|()| answer.map_or(Duration::ZERO, |answer| answer.took))
}
