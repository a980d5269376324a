//! The way to the server: made at the first use, and never waited for longer than an operation may take.
//!
//! The one decision a reader would question: every operation has a limit of ours around the driver's
//! own. The driver waits without end for an answer on a connection that broke silently; a dropped
//! operation closes its connection.
//!
//! One that is dropped while it waits for a connection leaves its place in the driver's line, which moves by one at
//! each event of its pool: after an outage nobody would be served for minutes. So no more operations go to the driver
//! than it has connections, and whoever looks for a server that was away does so with a client of its own.

use std::fmt;
use std::time::Duration;

use futures::FutureExt as _;
use mongodb::bson::Document;
use mongodb::options::{
    ClientOptions, CollectionOptions, ConnectionString, HostInfo, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Database};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use super::condition::Condition;
use super::error::{Cause, cause, unavailable};
use crate::domain::{Invalid, Secret};
use crate::store::{Result, StoreError};

/// Where mongoose, and so the original manager, keeps its data when the URI names no database.
const DEFAULT_DATABASE: &str = "test";
/// Less than every limit, so that the driver can say which server failed how.
const SERVER_SELECTION: Duration = Duration::from_millis(1_500);
const CONNECT: Duration = Duration::from_secs(1);
/// Finds connections that broke silently, and a new primary that nobody asked for yet.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Less than the four minutes after which load balancers forget a connection.
const MAX_IDLE: Duration = Duration::from_secs(180);
/// Concurrent callers share commands, so that few connections are busy. More would only stand in line at
/// the server, and FerretDB 1 locks itself up for good where a hundred updates meet: each holds one
/// connection to its database and waits for a second one out of a hundred.
const MAX_CONNECTIONS: u32 = 10;

/// How long an operation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// A callback waits: all its steps share two seconds.
    Callback,
    /// Nobody, or an operator.
    Background,
    /// The start, which may look at every document.
    Start,
}

impl Limit {
    pub(super) fn duration(self) -> Duration {
        match self {
            Self::Callback => Duration::from_millis(1_800),
            Self::Background => Duration::from_secs(10),
            Self::Start => Duration::from_secs(60),
        }
    }
}

/// What a returned write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// The loss of a server: it is in the journals of a majority.
    Durable,
    /// Nothing: its loss costs one poke, or one call of WeCom, too many.
    Light,
}

/// A collection. Reads go to the primary whatever the URI prefers: who registered must be found at once.
pub(super) fn collection(database: &Database, name: &str, promise: Promise) -> Collection<Document> {
    let concern = match promise {
        Promise::Durable => {
            let mut concern = WriteConcern::majority();
            concern.journal = Some(true);
            concern
        }
        Promise::Light => WriteConcern::nodes(1),
    };
    let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let options = CollectionOptions::builder().selection_criteria(primary).write_concern(concern).build();
    database.collection_with_options(name, options)
}

pub(super) struct Connection {
    uri: ConnectionString,
    /// Of the client in use, once there is one.
    database: Mutex<Option<Database>>,
    places: Semaphore,
    condition: Condition,
}

impl Connection {
    /// Connects to nothing yet, and looks no name up.
    pub(super) fn new(uri: &Secret) -> Result<Self, Invalid> {
        let mut uri = ConnectionString::parse(uri.expose()).map_err(|error| rule(&error))?;
        #[expect(deprecated, reason = "the driver refuses what mongoose takes; our own limits stand in for it")]
        {
            uri.socket_timeout = None;
        }
        // Without a name to look up the options are read at once, so that a contradiction is found here.
        if matches!(uri.host_info, HostInfo::HostIdentifiers(_))
            && let Some(Err(error)) = ClientOptions::parse(uri.clone()).into_future().now_or_never()
        {
            return Err(rule(&error));
        }
        let places = Semaphore::new(uri.max_pool_size.filter(|&size| size > 0).unwrap_or(MAX_CONNECTIONS) as usize);
        Ok(Self { uri, database: Mutex::default(), places, condition: Condition::default() })
    }

    /// Runs an operation within the limit.
    pub(super) async fn run<T, F>(&self, limit: Limit, operation: impl FnOnce(Database) -> F + Send) -> Result<T>
    where
        F: Future<Output = mongodb::error::Result<T>> + Send,
    {
        let pass = self.condition.pass()?;
        let whole = async {
            // Nobody's silence may keep from looking.
            let _place = if pass.looks() { None } else { Some(self.places.acquire().await) };
            operation(self.database(pass.looks()).await?).await
        };
        let limit = limit.duration();
        match timeout(limit, whole).await {
            Ok(Ok(value)) => {
                pass.answered();
                Ok(value)
            }
            Ok(Err(error)) => {
                let failure = unavailable(&error);
                match cause(&error) {
                    Cause::NoAnswer => pass.unanswered(&failure),
                    Cause::Refusal => pass.answered(),
                }
                Err(failure)
            }
            Err(_) => {
                let failure = StoreError::Unavailable(format!("no answer from MongoDB within {limit:?}"));
                pass.unanswered(&failure);
                Err(failure)
            }
        }
    }

    async fn database(&self, anew: bool) -> mongodb::error::Result<Database> {
        let mut database = self.database.lock().await;
        match &*database {
            Some(known) if !anew => Ok(known.clone()),
            _ => Ok(database.insert(open(&self.uri).await?).clone()),
        }
    }

    /// As [`Connection::run`], for a write that somebody is promised.
    pub(super) async fn write<T, F>(&self, limit: Limit, operation: impl FnOnce(Database) -> F + Send) -> Result<T>
    where
        F: Future<Output = mongodb::error::Result<T>> + Send,
    {
        let result = self.run(limit, operation).await;
        self.condition.wrote(result.as_ref().map(drop));
        result
    }

    /// Whether the latest promised write failed.
    pub(super) fn refuses_writes(&self) -> bool {
        self.condition.refuses_writes()
    }
}

/// The URI names a user and a password.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("condition", &self.condition).finish_non_exhaustive()
    }
}

/// What the URI says goes before our own choices.
async fn open(uri: &ConnectionString) -> mongodb::error::Result<Database> {
    let mut options = ClientOptions::parse(uri.clone()).await?;
    options.app_name.get_or_insert_with(|| "wxkf-gateway".to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
    options.connect_timeout.get_or_insert(CONNECT);
    options.heartbeat_freq.get_or_insert(HEARTBEAT);
    options.max_idle_time.get_or_insert(MAX_IDLE);
    options.max_pool_size.get_or_insert(MAX_CONNECTIONS);
    options.min_pool_size.get_or_insert(0);
    let name = options.default_database.clone();
    Ok(Client::with_options(options)?.database(name.as_deref().unwrap_or(DEFAULT_DATABASE)))
}

/// The driver's messages quote parts of the URI, which may be parts of a password.
fn rule(error: &mongodb::error::Error) -> Invalid {
    let text = error.to_string();
    if text.contains("must be URL encoded") || text.contains("unescaped") {
        return Invalid("must have its user and password percent-encoded (`@` is %40, `/` is %2F, `:` is %3A)");
    }
    Invalid("must be mongodb://[user:password@]host[:port][,…][/database][?options], or mongodb+srv://…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(uri: &str) -> &'static str {
        Connection::new(&Secret::new(uri)).map(drop).unwrap_err().0
    }

    #[test]
    fn a_wrong_uri_is_refused_without_being_repeated() {
        for uri in ["", "localhost:27017", "redis://h", "mongodb://h:s3cret", "mongodb://h/?tls=s3cret"] {
            assert!(refusal(uri).starts_with("must be mongodb://"), "{uri}");
        }
        assert!(refusal("mongodb://user:s3c/ret%zz@h").starts_with("must"));
        assert!(refusal("mongodb://user:s3c%zzret@h").contains("percent-encoded"));
        assert!(refusal("mongodb://h1,h2/?directConnection=true").starts_with("must be"), "a contradiction");
    }

    #[test]
    fn what_mongoose_takes_is_taken_and_nothing_is_looked_up() {
        for uri in [
            "mongodb://user:p%40ss@h1:27017,h2/wxkf?replicaSet=rs0&authSource=admin&socketTimeoutMS=5000&w=majority",
            "mongodb+srv://user:pass@cluster.invalid/?retryWrites=true",
        ] {
            let connection = Connection::new(&Secret::new(uri)).unwrap();
            assert!(!format!("{connection:?}").contains("pass"), "{connection:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_fails_in_time_and_says_how() {
        let connection = Connection::new(&Secret::new("mongodb://user:s3cret@127.0.0.1:1/")).unwrap();
        let ping = connection.run(Limit::Callback, async |db| db.list_collection_names().await).await;
        let StoreError::Unavailable(text) = ping.unwrap_err() else { panic!("no other kind is possible") };
        assert!(text.contains("refused") && !text.contains("s3cret"), "{text}");
    }
}
