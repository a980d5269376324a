//! The only place that wires: from settings to services.

mod meters;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::FromRef;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

pub use self::meters::METRICS;
use crate::access_token::{AccessTokens, MemoryCache, RedisCache, TokenCache, TokenParts, TokenSettings};
use crate::admin::Desk;
use crate::admin::corps::PublicUrl;
use crate::callback::Callbacks;
use crate::config::{self, Config, DispatchFormat, Registration};
use crate::dispatcher::{Dispatcher, DispatcherSettings, Format, Forwarder, RetryPolicy};
use crate::domain::{Clock, Invalid};
use crate::egress::{self, Courier, Dialer, Passage};
use crate::http::audit::Trail;
use crate::http::auth::{Door, Keyring, PuppetDoor};
use crate::http::health::{Checked, Health};
use crate::http::slowing::Slowing;
use crate::lifecycle::{Readiness, Tasks};
use crate::live::Live;
use crate::manager::Manager;
use crate::manager::proof::{Listing, Policy, Proof};
use crate::proxy::ApiProxy;
use crate::proxy::forward::ForwardProxy;
use crate::services::{Poster, Rules, Services, ServicesSettings};
use crate::store::corps_file::{CorpsFile, CorpsFileError, DeclaredCorps, Reload};
use crate::store::declaration::ServiceRules;
use crate::store::mongodb::MongoStore;
use crate::store::sealed::MasterKeys;
use crate::store::sqlite::{KeySource, OpenError, SqliteStore};
use crate::store::{Corps, Directory, Sharing, Store, StoreError};
use crate::telemetry::Metrics;
use crate::wecom::{Outbound, WecomClient, WecomSettings};

/// Until a store that is away at the start is asked again.
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// How often a shared store is read for what changed at other replicas.
const ACQUAINTED_EVERY: Duration = Duration::from_secs(15);
/// How often `CORPS_FILE` is looked at.
const CORPS_FILE_EVERY: Duration = Duration::from_secs(5);

/// Makes the state of one `Arc` and lets handlers ask for any of its parts: a request clones the
/// state several times, and a part for each is a counter for all cores to fight over.
macro_rules! state {
    ($($part:ident: $type:ty,)*) => {
        #[derive(Debug)]
        struct Parts {
            $($part: $type,)*
        }

        $(impl FromRef<AppState> for $type {
            fn from_ref(state: &AppState) -> Self {
                state.0.$part.clone()
            }
        })*
    };
}

/// What handlers may ask for.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Parts>);

state! {
    desk: Arc<Desk>,
    callbacks: Arc<Callbacks>,
    manager: Arc<Manager>,
    tokens: AccessTokens,
    proxy: Arc<ApiProxy>,
    forward: Arc<ForwardProxy>,
    puppets: PuppetDoor,
    trail: Trail,
    tasks: Tasks,
    clock: Clock,
    live: Live,
    health: Health,
    metrics: Metrics,
}

/// Borrowed, because each hot call asks for it.
impl AsRef<PuppetDoor> for AppState {
    fn as_ref(&self) -> &PuppetDoor {
        &self.0.puppets
    }
}

/// Who is let in.
#[derive(Debug, Clone)]
pub struct Doors {
    pub puppets: PuppetDoor,
    pub admins: Door,
}

/// What a gateway is given by whoever runs it.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub clock: Clock,
    pub tasks: Tasks,
    pub readiness: Readiness,
    pub metrics: Metrics,
}

/// Why a gateway cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store answers, and cannot be used.
    #[error(transparent)]
    Unusable(StoreError),
    #[error(transparent)]
    CorpsFile(#[from] CorpsFileError),
    #[error("MASTER_KEY {0}")]
    MasterKey(Invalid),
    #[error("MONGO_URI {0}")]
    MongoUri(Invalid),
    #[error("REDIS_URL {0}")]
    RedisUrl(Invalid),
    #[error("cannot keep the generated ADMIN_TOKEN in DATA_DIR: {0}")]
    AdminToken(std::io::Error),
    #[error("cannot set up outgoing calls: {0}")]
    Http(#[from] reqwest::Error),
    #[error("cannot set up outgoing calls: {0}")]
    Tls(#[from] rustls::Error),
    #[error("WECOM_API_BASE_URL is no address to call: {0}")]
    BaseUrl(#[from] http::Error),
}

/// A gateway: it can be served at once, and is ready when it has been started.
#[derive(Debug)]
pub struct App {
    pub state: AppState,
    pub doors: Doors,
    pub starting: Starting,
}

/// What is left to do until the gateway is ready. It can be served meanwhile: verifications of corps
/// in `CORPS_FILE` are answered.
#[derive(Debug)]
#[must_use]
pub struct Starting {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    tokens: AccessTokens,
    dispatcher: Dispatcher,
    services: Services,
    clock: Clock,
    tasks: Tasks,
    readiness: Readiness,
}

impl Starting {
    /// Waits for a store that is away, then starts the background work.
    pub async fn finish(self) -> Result<(), BuildError> {
        let mut told = String::new();
        while let Err(error) = self.store.prepare().await {
            let StoreError::Unavailable(reason) = error else { return Err(BuildError::Unusable(error)) };
            if reason != told {
                warn!(store = self.store.name(), reason, "waiting for the store");
                told = reason;
            }
            if !self.tasks.pause(STORE_PAUSE).await {
                return Ok(());
            }
        }
        self.tasks.spawn(self.tokens.run_renewals());
        self.tasks.spawn(meters::take_stock(self.store.clone(), self.clock, self.tasks.clone()));
        self.dispatcher.start();
        self.services.start();
        if self.directory.is_shared() {
            let tasks = self.tasks.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stay_acquainted(&self.directory) => {}
                    () = tasks.stopping() => {}
                }
            });
        }
        self.readiness.ready();
        info!(store = self.store.name(), "ready");
        Ok(())
    }
}

impl App {
    /// Builds everything. Blocks while the embedded store is opened; calls nobody.
    pub async fn build(config: &Config, runtime: Runtime) -> Result<Self, BuildError> {
        meters::declare_all();
        let Runtime { clock, tasks, readiness, metrics } = runtime;
        let store = open_store(config, &clock, &tasks)?;
        let sharing = if config.mongo_uri.is_some() { Sharing::Replicas } else { Sharing::Exclusive };
        let trail = Trail::new(store.audit_part(), clock.clone(), tasks.clone());
        tasks.spawn(trail.clone().run());
        let doors = doors(config, &trail)?;
        let rules: Arc<dyn ServiceRules> = Arc::new(Rules::new(config.dispatch_deny_networks.clone()));
        let corps_file = match &config.corps_file {
            Some(path) => Some(Arc::new(CorpsFile::load(path, rules.clone(), clock.now())?)),
            None => None,
        };
        let corps: Arc<dyn Corps> = match &corps_file {
            Some(file) => Arc::new(DeclaredCorps::new(file.clone(), store.clone())),
            None => store.clone(),
        };
        let directory = Arc::new(Directory::new(corps.clone(), store.clone(), sharing));
        let cache = token_cache(config, &store, &clock, &tasks)?;
        metrics.tell_build(store.name(), if config.redis_url.is_some() { "redis" } else { "memory" });
        let parts: [(_, Arc<dyn Checked>); 2] = [
            ("store", Arc::new(StorePart { store: store.clone(), directory: directory.clone() })),
            ("cache", Arc::new(CachePart(cache.clone()))),
        ];
        let health = Health::new(readiness.clone(), parts);
        if let Some(file) = corps_file {
            tasks.spawn(watch_corps_file(file, directory.clone(), health.clone(), clock.clone(), tasks.clone()));
        }

        let (proxy, exceptions) = (config.https_proxy.as_ref(), config.no_proxy.as_deref());
        let common = egress::wecom_client(proxy, exceptions)?;
        let mut outbound = Outbound::new(common, directory.clone());
        if proxy.is_none() {
            outbound = outbound.passing(Passage::direct()?);
        }
        let wecom = wecom_client(config, outbound.clone());
        let tokens = access_tokens(config, cache, &corps, &store, &wecom, &clock, &tasks);
        let replica = format!("{:016x}", rand::random::<u64>());
        // One for bots and services: each has a pool of its own.
        let courier = Courier::new(&config.dispatch_deny_networks, config.dispatch_timeout)?;
        let live = Live::new(clock.clone());
        let around = Around {
            store: &store,
            directory: &directory,
            replica: &replica,
            clock: &clock,
            tasks: &tasks,
            live: &live,
        };
        let dispatcher = dispatcher(config, courier.clone(), &around);
        let services = services(config, courier, &around);
        let api =
            ApiProxy::new(&config.wecom_api_base_url, outbound, tokens.clone(), doors.admins.clone(), live.clone())?;
        let proof = Proof::new(policy(config), listing(config), tokens.clone(), wecom);
        let denied = config.dispatch_deny_networks.clone();
        let manager = Manager::new(directory.clone(), dispatcher.clone(), proof, denied, clock.clone());
        let dialer = Dialer::new(config.dispatch_deny_networks.clone(), proxy, exceptions);
        let forward = ForwardProxy::new(config.allowed_hosts(), dialer, tasks.clone());
        let callbacks = Arc::new(callbacks(&dispatcher, &services, &around));
        let starting = Starting {
            store: store.clone(),
            directory: directory.clone(),
            tokens: tokens.clone(),
            dispatcher: dispatcher.clone(),
            services: services.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            readiness,
        };

        let desk = Desk {
            store,
            corps,
            directory,
            dispatcher,
            services,
            rules,
            callbacks: callbacks.clone(),
            tokens: tokens.clone(),
            public_url: PublicUrl(config.public_url.clone()),
            bots_endpoint: bots_endpoint(config),
        };
        let parts = Parts {
            puppets: doors.puppets.clone(),
            trail,
            tasks,
            desk: Arc::new(desk),
            callbacks,
            manager: Arc::new(manager),
            tokens,
            proxy: Arc::new(api),
            forward: Arc::new(forward),
            clock,
            live,
            health,
            metrics,
        };
        Ok(Self { state: AppState(Arc::new(parts)), doors, starting })
    }
}

/// Gets to know what is registered and declared at other replicas. However many there are, it takes a thirtieth of the time at most.
async fn stay_acquainted(directory: &Directory) {
    loop {
        let began = Instant::now();
        match directory.acquaint().await {
            Ok(bots) => debug!(bots, "read ahead what the store has"),
            Err(error) => debug!(%error, "cannot read ahead what the store has"),
        }
        sleep(ACQUAINTED_EVERY.max(began.elapsed() * 30)).await;
    }
}

fn open_store(config: &Config, clock: &Clock, tasks: &Tasks) -> Result<Arc<dyn Store>, BuildError> {
    if let Some(uri) = &config.mongo_uri {
        let store = MongoStore::new(uri, given_keys(config)?, tasks, clock.clone()).map_err(BuildError::MongoUri)?;
        return Ok(Arc::new(store));
    }
    let keys = match &config.master_key {
        Some(_) => KeySource::Given(given_keys(config)?),
        None => KeySource::Kept,
    };
    Ok(Arc::new(SqliteStore::open(&config.data_dir, keys, clock.now())?))
}

fn bots_endpoint(config: &Config) -> String {
    let password = if config.puppet_passwords.is_empty() { "" } else { "bot:PASSWORD@" };
    format!("http://{password}gateway:{}", config.port)
}

/// An operator who gave no token finds a generated one in `DATA_DIR`; of many replicas each would
/// make its own, so there it is given or there is no admin API.
fn doors(config: &Config, trail: &Trail) -> Result<Doors, BuildError> {
    let mut admin_tokens = config.admin_tokens.clone();
    if admin_tokens.is_empty() && config.mongo_uri.is_none() {
        admin_tokens.push(config::create_admin_token(&config.data_dir).map_err(BuildError::AdminToken)?);
    }
    // One for both doors: the places in which answers are held back are the process's.
    let slowing = Slowing::default();
    let door = |secrets| Door::new(Keyring::new(secrets), trail.clone(), slowing.clone());
    Ok(Doors { puppets: PuppetDoor(door(config.puppet_passwords.clone())), admins: door(admin_tokens) })
}

fn wecom_client(config: &Config, outbound: Outbound) -> WecomClient {
    let settings = WecomSettings::new(config.wecom_api_base_url.clone(), config.access_token_url.clone());
    WecomClient::new(settings, outbound)
}

/// Where access tokens are kept.
fn token_cache(
    config: &Config,
    store: &Arc<dyn Store>,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Arc<dyn TokenCache>, BuildError> {
    let Some(url) = &config.redis_url else {
        return Ok(Arc::new(MemoryCache::new(store.clone(), tasks.clone(), clock.clone())));
    };
    let keys = given_keys(config)?;
    let cache = RedisCache::new(url, keys, tasks.clone(), clock.clone()).map_err(BuildError::RedisUrl)?;
    Ok(Arc::new(cache))
}

/// The keys of `MASTER_KEY`. A generated one is no other replica's, so that it seals nothing shared.
fn given_keys(config: &Config) -> Result<MasterKeys, BuildError> {
    let Some(keys) = &config.master_key else { return Ok(MasterKeys::none()) };
    MasterKeys::parse(keys).map_err(BuildError::MasterKey)
}

fn access_tokens(
    config: &Config,
    cache: Arc<dyn TokenCache>,
    corps: &Arc<dyn Corps>,
    store: &Arc<dyn Store>,
    wecom: &WecomClient,
    clock: &Clock,
    tasks: &Tasks,
) -> AccessTokens {
    let settings = TokenSettings { max_lease: config.token_max_lease, ..TokenSettings::default() };
    let parts = TokenParts {
        wecom: wecom.clone(),
        cache,
        corps: corps.clone(),
        puppets: store.clone(),
        tasks: tasks.clone(),
        clock: clock.clone(),
    };
    AccessTokens::new(settings, parts)
}

/// What those who bring events on have in common.
struct Around<'a> {
    store: &'a Arc<dyn Store>,
    directory: &'a Arc<Directory>,
    replica: &'a str,
    clock: &'a Clock,
    tasks: &'a Tasks,
    live: &'a Live,
}

fn dispatcher(config: &Config, courier: Courier, around: &Around<'_>) -> Dispatcher {
    let format = match config.dispatch_format {
        DispatchFormat::AsReceived => Format::AsReceived,
        DispatchFormat::Decrypted => Format::Decrypted,
    };
    let settings = DispatcherSettings {
        attempt_limit: config.dispatch_timeout,
        event_ttl: config.event_ttl,
        registration_grace: config.registration_grace,
        retry: RetryPolicy::default(),
        replica: around.replica.to_owned(),
    };
    let forwarder = Forwarder::new(courier, format);
    let Around { store, directory, clock, tasks, live, .. } = *around;
    let (directory, clock, tasks) = (directory.clone(), clock.clone(), tasks.clone());
    Dispatcher::new(settings, directory, store.clone(), forwarder, clock, tasks, live.clone())
}

fn services(config: &Config, courier: Courier, around: &Around<'_>) -> Services {
    let poster = Poster::new(courier);
    let settings = ServicesSettings {
        attempt_limit: config.dispatch_timeout,
        // One event keeps the others waiting, so that a short failure should cost little.
        retry: RetryPolicy { shortest: Duration::from_millis(200), ..RetryPolicy::default() },
        replica: around.replica.to_owned(),
    };
    let Around { store, directory, clock, tasks, live, .. } = *around;
    let (directory, clock, tasks) = (directory.clone(), clock.clone(), tasks.clone());
    Services::new(settings, directory, store.service_events(), poster, clock, tasks, live.clone())
}

fn callbacks(dispatcher: &Dispatcher, services: &Services, around: &Around<'_>) -> Callbacks {
    let Around { directory, clock, tasks, live, .. } = *around;
    let (clock, tasks, live) = (clock.clone(), tasks.clone(), live.clone());
    Callbacks::new(directory.clone(), dispatcher.clone(), services.clone(), clock, tasks, live)
}

fn policy(config: &Config) -> Policy {
    match config.registration {
        Registration::Proof => Policy::Proof,
        Registration::Open => Policy::Open,
    }
}

fn listing(config: &Config) -> Listing {
    if config.access_token_url.is_some() { Listing::Optional } else { Listing::Expected }
}

/// A file that becomes invalid keeps the last good content, and the gateway says so.
async fn watch_corps_file(file: Arc<CorpsFile>, directory: Arc<Directory>, health: Health, clock: Clock, tasks: Tasks) {
    while tasks.pause(CORPS_FILE_EVERY).await {
        let reload = file.reload(clock.now());
        meters::reloaded(&reload);
        match reload {
            Reload::Unchanged => {}
            Reload::Replaced { corps } => {
                info!(corps, "CORPS_FILE changed");
                directory.corps_changed();
                health.note("corps-file", None);
            }
            Reload::Kept(error) => {
                warn!(error = %error, "CORPS_FILE is invalid; the last good content stays");
                health.note("corps-file", Some(error.to_string()));
            }
        }
    }
}

/// The store as `/readyz` asks it.
#[derive(Debug)]
struct StorePart {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
}

#[async_trait]
impl Checked for StorePart {
    async fn check(&self) -> Result<(), String> {
        self.store.check().await.map_err(|error| error.to_string())?;
        self.directory.locked().map_or(Ok(()), |error| Err(error.to_string()))
    }
}

/// The token cache as `/readyz` asks it.
#[derive(Debug)]
struct CachePart(Arc<dyn TokenCache>);

#[async_trait]
impl Checked for CachePart {
    async fn check(&self) -> Result<(), String> {
        self.0.check().await
    }
}
