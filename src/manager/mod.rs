//! The registry of bots: who serves which account, and who may say so.
//!
//! A bot registers once, at its start, and has no heartbeat; so a registration lasts until the bot
//! deregisters, and whoever could register in its place would get its customers' news. Hence the
//! proof (`proof.rs`).

mod changes;
pub mod proof;
pub mod registration;
pub mod routes;

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{info, warn};

use crate::dispatcher::Dispatcher;
use crate::domain::{Clock, CorpId, OpenKfId, Puppet};
use crate::egress::DenyList;
use crate::store::{Directory, StoreError};

use proof::Proof;
use registration::Registration;

/// Why a registration or deregistration was refused, in words for the bot's operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The fields themselves are wrong.
    #[error("{0}")]
    Invalid(String),
    /// The caller may not speak for the account.
    #[error("{0}")]
    NotProven(String),
    /// It cannot be decided or kept just now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        warn!(error = %error, "the store failed a registration");
        Self::Unavailable("the gateway's store is unavailable; try again".to_owned())
    }
}

/// What a bot's wish changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Everything was so already.
    Nothing,
    /// In words for the record, without secrets.
    Made(String),
}

/// Keeps the registry.
#[derive(Debug)]
pub struct Manager {
    directory: Arc<Directory>,
    dispatcher: Dispatcher,
    proof: Proof,
    denied: DenyList,
    clock: Clock,
}

impl Manager {
    pub fn new(
        directory: Arc<Directory>,
        dispatcher: Dispatcher,
        proof: Proof,
        denied: DenyList,
        clock: Clock,
    ) -> Self {
        Self { directory, dispatcher, proof, denied, clock }
    }

    /// Makes the bot the one that serves its account. Counts at once, survives restarts.
    pub async fn register(&self, registration: Registration) -> Result<Change, Refusal> {
        let Some(url) = registration.endpoint.url() else {
            return Err(Refusal::Invalid("endpoint leads nowhere".to_owned()));
        };
        if let Some(address) = self.denied.first_denied(&url).await {
            let mend = "give an endpoint the gateway may call, or change DISPATCH_DENY_NETWORKS";
            return Err(Refusal::Invalid(format!("endpoint leads to {address}, which is forbidden: {mend}")));
        }
        let known = self.directory.puppet_now(&registration.kf_id).await?;
        let puppet = registration.into_puppet(self.clock.now());
        self.proof.check(&puppet, known.as_deref()).await?;
        self.directory.put_puppet(&puppet).await?;
        self.dispatcher.registered(&puppet).await?;
        info!(corp.id = %puppet.corp_id, kf.id = %puppet.kf_id, endpoint = %puppet.endpoint, "a bot registered");
        self.tell_of_another_pair(&puppet).await;
        Ok(changes::by_registration(known.as_deref(), &puppet))
    }

    /// The corp's declared credentials open its callbacks, and none of them is the bot's.
    async fn tell_of_another_pair(&self, puppet: &Puppet) {
        let Ok(Some(keys)) = self.directory.keys(&puppet.corp_id).await else { return };
        if keys.is_declared && keys.credentials.iter().all(|credential| credential.pair.id() != puppet.pair.id()) {
            let mend =
                "its token and encodingAESKey are not among the corp's credentials: it gets decrypted events alone";
            warn!(corp.id = %puppet.corp_id, kf.id = %puppet.kf_id, "{mend}");
        }
    }

    /// Takes the bot offline; its events are held from now on. An unknown account is fine, because
    /// the wish is fulfilled.
    pub async fn deregister(&self, kf: &OpenKfId, corp: &CorpId) -> Result<Change, Refusal> {
        let Some(puppet) = self.directory.puppet_now(kf).await? else { return Ok(Change::Nothing) };
        if puppet.corp_id != *corp {
            return Err(Refusal::NotProven("corpId is not the one this kfId registered under".to_owned()));
        }
        self.directory.set_offline(kf, self.clock.now()).await?;
        info!(corp.id = %corp, kf.id = %kf, "a bot deregistered");
        Ok(if puppet.online { Change::Made(format!("corp {corp}")) } else { Change::Nothing })
    }

    /// The registration of the account, online or not.
    pub async fn info(&self, kf: &OpenKfId) -> Result<Option<Arc<Puppet>>, StoreError> {
        self.directory.puppet(kf).await
    }
}

impl Registration {
    fn into_puppet(self, now: Timestamp) -> Puppet {
        Puppet {
            kf_id: self.kf_id,
            name: self.name,
            endpoint: self.endpoint,
            corp_id: self.corp_id,
            corp_secret: self.corp_secret,
            pair: self.pair,
            online: true,
            last_online_at: Some(now),
            registered_at: Some(now),
            away_since: None,
        }
    }
}
