//! Who may register for an account: whoever holds a secret whose token manages it.

use tracing::info;

use super::Refusal;
use crate::access_token::{AccessTokens, Lease, TokenError};
use crate::domain::Puppet;
use crate::wecom::{AccountAccess, Class, WecomClient, WecomError};

/// `REGISTRATION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// A registration proves that it may speak for the account.
    #[default]
    Proof,
    /// As the original manager: whoever calls is believed.
    Open,
}

/// Whether the corp's accounts can be listed where tokens come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Tokens come from WeCom, so WeCom can be asked.
    Expected,
    /// Tokens come from a service of their own (`ACCESS_TOKEN_URL`); WeCom may be out of reach.
    Optional,
}

/// Checks registrations against WeCom.
#[derive(Debug)]
pub struct Proof {
    policy: Policy,
    listing: Listing,
    tokens: AccessTokens,
    wecom: WecomClient,
}

impl Proof {
    pub fn new(policy: Policy, listing: Listing, tokens: AccessTokens, wecom: WecomClient) -> Self {
        Self { policy, listing, tokens, wecom }
    }

    /// Whether the bot may take over its account from whoever has it now.
    pub async fn check(&self, bot: &Puppet, known: Option<&Puppet>) -> Result<(), Refusal> {
        if self.policy == Policy::Open {
            return Ok(());
        }
        let app = bot.app();
        if known.is_some_and(|known| is_unchanged(bot, known)) && self.tokens.is_cached(&app).await {
            return Ok(());
        }
        let lease = self.tokens.lease(&app).await.map_err(|error| no_token(&error))?;
        match self.access(bot, &lease).await {
            Ok(AccountAccess::Managed) => Ok(()),
            Ok(AccountAccess::Listed) => Err(Refusal::NotProven(
                "the app of corpSecret sees kfId but may not manage it: let it manage the account in WeCom's console"
                    .to_owned(),
            )),
            Ok(AccountAccess::NotListed) => Err(Refusal::NotProven(
                "the app of corpSecret does not list kfId: check kfId, corpId and corpSecret belong together"
                    .to_owned(),
            )),
            Err(error) => self.without_list(bot, known, &error),
        }
    }

    /// Asks for the account; once more with another token when WeCom says this one is dead.
    async fn access(&self, bot: &Puppet, lease: &Lease) -> Result<AccountAccess, WecomError> {
        let first = self.wecom.account_access(&bot.corp_id, &lease.access_token, &bot.kf_id).await;
        let rejected = matches!(&first, Err(WecomError::Refused(refusal)) if refusal.class() == Class::TokenRejected);
        if !rejected {
            return first;
        }
        match self.tokens.renew(&bot.app(), &lease.access_token).await {
            Ok(renewed) if renewed.access_token != lease.access_token => {
                self.wecom.account_access(&bot.corp_id, &renewed.access_token, &bot.kf_id).await
            }
            _ => first,
        }
    }

    /// Where the accounts cannot be listed, the secret alone is the proof: good for an account nobody
    /// has, not for taking one from somebody else.
    fn without_list(&self, bot: &Puppet, known: Option<&Puppet>, error: &WecomError) -> Result<(), Refusal> {
        let may_not_list = match error {
            WecomError::Refused(refusal) => refusal.class() == Class::NotPermitted,
            WecomError::Unreachable { .. } | WecomError::BadAnswer { .. } => self.listing == Listing::Optional,
        };
        let advice = error.advice();
        if !may_not_list {
            let advice = advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
            return Err(Refusal::Unavailable(format!("the account cannot be checked now: {error}{advice}; try again")));
        }
        info!(corp.id = %bot.corp_id, kf.id = %bot.kf_id, %error, advice = advice.as_deref(), "the accounts cannot be listed");
        match known {
            None => Ok(()),
            Some(known) if known.corp_id == bot.corp_id && known.corp_secret == bot.corp_secret => Ok(()),
            Some(_) => Err(Refusal::NotProven(format!(
                "kfId is registered with another secret or corp, and WeCom's list of accounts, which could prove the \
                 change, cannot be read ({error}{}): mend that, or let an operator delete the registration",
                advice.map(|advice| format!("; {advice}")).unwrap_or_default()
            ))),
        }
    }
}

fn is_unchanged(bot: &Puppet, known: &Puppet) -> bool {
    bot.corp_id == known.corp_id
        && bot.corp_secret == known.corp_secret
        && bot.pair == known.pair
        && bot.endpoint == known.endpoint
        && bot.name == known.name
}

fn no_token(error: &TokenError) -> Refusal {
    let error_and_advice = error.explained();
    match error.class() {
        Some(Class::Transient | Class::RateLimited) | None => {
            Refusal::Unavailable(format!("corpSecret cannot be checked now: {error_and_advice}; try again"))
        }
        Some(_) => Refusal::NotProven(format!("corpId and corpSecret obtain no access token: {error_and_advice}")),
    }
}
