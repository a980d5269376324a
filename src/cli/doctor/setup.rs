//! What the checks look at: the settings, the running gateway, and what the store holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;

use crate::config::{Config, read_admin_token};
use crate::domain::{App, AppKey, CallbackCredential, CorpId, Puppet, Secret};
use crate::egress;
use crate::store::{Directory, Store};

use super::gateway::Running;

/// For a request of the doctor's own. WeCom gives a URL verification one second, a message five.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// For one that the gateway may have to ask WeCom for, which it does within eight seconds.
pub(super) const THROUGH_GATEWAY: Duration = Duration::from_secs(9);

/// A set-up.
pub(super) struct Setup {
    pub config: Config,
    pub gateway: Option<Running>,
    /// `None` when there is none, or it cannot be read.
    pub stored: Option<Stored>,
    /// Towards gateways: never a proxy, no redirect followed.
    pub http: Client,
}

/// What the store and `CORPS_FILE` hold.
pub(super) struct Stored {
    pub store: Arc<dyn Store>,
    pub directory: Arc<Directory>,
    pub corps: Vec<KnownCorp>,
    pub bots: Vec<Puppet>,
}

/// A corp with what opens its callbacks.
pub(super) struct KnownCorp {
    pub id: CorpId,
    pub credentials: Vec<CallbackCredential>,
    /// Bots whose own pair is not among the credentials.
    pub uncovered: Vec<String>,
}

impl Setup {
    pub(super) fn client() -> anyhow::Result<Client> {
        egress::client(THROUGH_GATEWAY).context("cannot set up outgoing calls")
    }

    /// What opens the gateway's admin API, where it is known here.
    pub(super) fn admin_token(&self) -> Option<Secret> {
        let generated = || read_admin_token(&self.config.data_dir).ok().flatten();
        let given = self.config.admin_tokens.first().cloned();
        given.or_else(|| self.config.mongo_uri.is_none().then(generated).flatten())
    }

    pub(super) fn corps(&self) -> &[KnownCorp] {
        self.stored.as_ref().map_or(&[], |stored| &stored.corps)
    }

    /// Those who are registered now.
    pub(super) fn online_bots(&self) -> impl Iterator<Item = &Puppet> {
        let bots = self.stored.as_ref().map_or(&[][..], |stored| &stored.bots);
        bots.iter().filter(|bot| bot.online)
    }

    /// The apps of registered bots, each once.
    pub(super) fn apps(&self) -> Vec<(App, Vec<&Puppet>)> {
        let mut apps: BTreeMap<AppKey, (App, Vec<&Puppet>)> = BTreeMap::new();
        for bot in self.online_bots() {
            let app = bot.app();
            apps.entry(app.key()).or_insert_with(|| (app, Vec::new())).1.push(bot);
        }
        apps.into_values().collect()
    }
}
