//! The way of a corp's calls to WeCom: the common one, or through the corp's own proxy (`wecomProxy`), because
//! WeCom takes one address that serves several corps for a third-party provider's.
//!
//! The one decision a reader would question: while the store cannot tell whether a corp has a proxy, its
//! calls take the common way. WeCom refuses some of them at worst (60020); a gateway without tokens while
//! its store is away would be worse.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use reqwest::Client;
use tokio::time::timeout;
use tracing::{debug, warn};
use url::Url;

use crate::domain::{CorpId, Fingerprint, Secret};
use crate::egress::{self, Passage};
use crate::store::Directory;

/// Clients kept, one for each proxy; one that was left out is built again.
const CLIENTS: u64 = 1_000;
/// A client whose proxy nobody used for so long is dropped, its idle connections with it.
const UNUSED: Duration = Duration::from_secs(60 * 60);
/// For the store to tell a corp's proxy.
const STORE_LIMIT: Duration = Duration::from_millis(500);

/// A corp's declared proxy, with which no client can be built.
#[derive(Debug, thiserror::Error)]
#[error("{}", Self::REASON)]
pub struct UnusableProxy;

impl UnusableProxy {
    pub(super) const REASON: &str = "the corp's wecomProxy is no address of a proxy";
}

/// The clients towards WeCom. Clones share them.
#[derive(Debug, Clone)]
pub struct Outbound {
    common: Client,
    /// The same way for calls that are passed on.
    passage: Passage,
    own: Option<Arc<OwnWays>>,
}

/// What is needed for corps that have a way of their own.
#[derive(Debug)]
struct OwnWays {
    directory: Arc<Directory>,
    clients: Cache<Fingerprint, Client>,
}

/// The same way for all corps.
impl From<Client> for Outbound {
    fn from(common: Client) -> Self {
        Self { passage: Passage::through(common.clone()), common, own: None }
    }
}

impl Outbound {
    /// `common` is for all corps that have no proxy of their own.
    pub fn new(common: Client, directory: Arc<Directory>) -> Self {
        let clients = Cache::builder().max_capacity(CLIENTS).time_to_idle(UNUSED).build();
        Self { own: Some(Arc::new(OwnWays { directory, clients })), ..common.into() }
    }

    /// The same with another common way for calls that are passed on.
    pub fn passing(self, passage: Passage) -> Self {
        Self { passage, ..self }
    }

    /// The client of calls for nobody in particular.
    pub fn common(&self) -> Client {
        self.common.clone()
    }

    /// The client of the corp's calls.
    pub async fn of(&self, corp: &CorpId) -> Result<Client, UnusableProxy> {
        Ok(self.own_client(corp).await?.unwrap_or_else(|| self.common()))
    }

    /// The way of calls that are passed on; those for nobody in particular take the common one.
    pub async fn passage(&self, corp: Option<&CorpId>) -> Result<Cow<'_, Passage>, UnusableProxy> {
        let own = match corp {
            Some(corp) => self.own_client(corp).await?,
            None => None,
        };
        Ok(own.map_or(Cow::Borrowed(&self.passage), |client| Cow::Owned(Passage::through(client))))
    }

    /// `None` when the corp has no proxy of its own.
    async fn own_client(&self, corp: &CorpId) -> Result<Option<Client>, UnusableProxy> {
        let Some(own) = &self.own else { return Ok(None) };
        let Some(proxy) = own.proxy_of(corp).await else { return Ok(None) };
        let client = own.client(&proxy);
        client.map(Some).inspect_err(|error| warn!(corp.id = %corp, %error, "no call is made"))
    }
}

impl OwnWays {
    async fn proxy_of(&self, corp: &CorpId) -> Option<Secret> {
        match timeout(STORE_LIMIT, self.directory.wecom_proxy(corp)).await {
            Ok(Ok(proxy)) => proxy,
            Ok(Err(_)) | Err(_) => {
                debug!(corp.id = %corp, "the store cannot tell the corp's wecomProxy");
                None
            }
        }
    }

    fn client(&self, proxy: &Secret) -> Result<Client, UnusableProxy> {
        let build = || {
            let url = Url::parse(proxy.expose()).map_err(|_| UnusableProxy)?;
            egress::wecom_client(Some(&url), None).map_err(|_| UnusableProxy)
        };
        self.clients.try_get_with(proxy.fingerprint(), build).map_err(|_| UnusableProxy)
    }
}
