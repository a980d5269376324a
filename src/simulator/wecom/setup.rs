//! Setting up a corp of the simulated WeCom, step by step.

use std::net::IpAddr;

use super::Wecom;
use super::seal::Credential;
use super::world::{Corp, KfAccount};
use crate::domain::Invalid;

/// A corp being set up: `wecom.corp("ww1").secret("s1").account("wk1")`. Every step counts at once.
#[derive(Debug)]
pub struct CorpSetup<'a> {
    wecom: &'a Wecom,
    id: String,
}

impl<'a> CorpSetup<'a> {
    pub(super) fn new(wecom: &'a Wecom, id: &str) -> Self {
        Self { wecom, id: id.to_owned() }
    }

    /// An app of the corp.
    pub fn secret(self, secret: &str) -> Self {
        self.edit(|corp| {
            corp.apps.entry(secret.to_owned()).or_default();
        })
    }

    /// The app was not granted the customer service APIs: they answer 48002.
    pub fn without_kf(self, secret: &str) -> Self {
        self.edit(|corp| corp.apps.entry(secret.to_owned()).or_default().kf_granted = false)
    }

    /// Only these addresses may use the app's tokens, others get 60020.
    pub fn trusted(self, secret: &str, addresses: &[IpAddr]) -> Self {
        self.edit(|corp| corp.apps.entry(secret.to_owned()).or_default().trusted.extend(addresses))
    }

    /// Token and `EncodingAESKey` of the corp's callbacks.
    pub fn credential(self, token: &str, aes_key: &str) -> Result<Self, Invalid> {
        let credential = Credential::new(&self.id, token, aes_key)?;
        Ok(self.sealed_by(credential))
    }

    /// The same with any receive id.
    pub fn sealed_by(self, credential: Credential) -> Self {
        self.edit(|corp| corp.credential = Some(credential))
    }

    /// An account that the corp's apps may work for.
    pub fn account(self, open_kf_id: &str) -> Self {
        self.add_account(open_kf_id, true)
    }

    /// An account without `manage_privilege`.
    pub fn unmanaged_account(self, open_kf_id: &str) -> Self {
        self.add_account(open_kf_id, false)
    }

    /// Where the corp's callbacks go.
    pub fn callback_url(self, url: &str) -> Self {
        self.edit(|corp| corp.callback_url = Some(url.to_owned()))
    }

    fn add_account(self, open_kf_id: &str, manage_privilege: bool) -> Self {
        self.edit(|corp| {
            let account = KfAccount::named(&format!("account {open_kf_id}"));
            corp.accounts.insert(open_kf_id.to_owned(), KfAccount { manage_privilege, ..account });
        })
    }

    fn edit(self, change: impl FnOnce(&mut Corp)) -> Self {
        change(self.wecom.shared.world.lock().corps.entry(self.id.clone()).or_default());
        self
    }
}
