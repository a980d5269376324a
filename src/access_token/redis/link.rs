//! The one connection to Redis: every exchange has 200 ms in all, and a Redis that is away costs
//! that once a second, not every request.
//!
//! The one decision a reader would question: the connection is kept here and not in the driver's
//! manager. That one waits for reconnects in the caller's time, gives up for good on some errors, and
//! goes on with a connection on which nothing answers any more.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation};
use tokio::time::timeout;
use tracing::{info, warn};

use super::super::flights::Flights;
use super::server::Server;
use crate::lifecycle::Tasks;
use crate::store::{Breaker, Turn};

/// For one exchange, connecting included: 200 ms, the last of them counted from when this process looks.
/// One that was itself held up, for want of a processor, finds the answer waiting.
const LIMIT: Duration = Duration::from_millis(150);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// For a connect, which goes on behind those who gave up waiting for it.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Between two tries of a Redis that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Why Redis did not answer; for logs and operators.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Redis: {0}")]
pub(super) struct Away(Arc<str>);

/// Those who use one connection share one of these.
type Connection = Arc<MultiplexedConnection>;

pub(super) struct Link {
    server: Server,
    open: Arc<Mutex<Option<Connection>>>,
    connects: Flights<(), Result<Connection, Away>>,
    breaker: Breaker,
    last_failure: Mutex<Away>,
    tasks: Tasks,
}

impl Link {
    /// Connects when it is first asked.
    pub(super) fn new(server: Server, tasks: Tasks) -> Self {
        Self {
            server,
            open: Arc::default(),
            connects: Flights::default(),
            breaker: Breaker::new(PAUSE),
            last_failure: Mutex::new(Away("not asked yet".into())),
            tasks,
        }
    }

    /// Whether asking is in vain now.
    pub(super) fn rests(&self) -> bool {
        self.breaker.rests()
    }

    pub(super) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Away> {
        self.ask(|mut connection| async move { commands.query_async(&mut connection).await }).await
    }

    pub(super) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Away> {
        self.ask(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    /// One exchange. It may be sent twice, so it must be one that can be.
    async fn ask<T, F>(&self, exchange: impl Fn(MultiplexedConnection) -> F) -> Result<T, Away>
    where
        F: Future<Output = RedisResult<T>>,
    {
        if !self.breaker.admits() {
            return Err(self.last_failure.lock().clone());
        }
        let mut attempt = pin!(self.attempt(exchange));
        let mut answered = timeout(LIMIT, &mut attempt).await;
        if answered.is_err() {
            answered = timeout(LAST_LOOK, attempt).await;
        }
        let late = |_| Err(Away(format!("no answer within {} ms", (LIMIT + LAST_LOOK).as_millis()).into()));
        let answer = answered.unwrap_or_else(late).map_err(|away| self.failed(away))?;
        counter!("wxkf_redis_exchanges_total", "result" => "ok").increment(1);
        if self.breaker.succeeded() == Turn::Changed {
            info!("Redis is back");
        }
        Ok(answer)
    }

    /// On the open connection; if that broke, or leads to a master that is none any more, on a new one.
    async fn attempt<T, F>(&self, exchange: impl Fn(MultiplexedConnection) -> F) -> Result<T, Away>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let open = self.open.lock().clone();
        if let Some(connection) = open {
            match exchange(MultiplexedConnection::clone(&connection)).await {
                Err(error) if wants_another_connection(&error) => self.discard(&connection),
                answer => return answer.map_err(|error| Away::from(&error)),
            }
        }
        let connection = self.connect().await?;
        exchange(MultiplexedConnection::clone(&connection)).await.map_err(|error| Away::from(&error))
    }

    /// Unless somebody was faster, and there is another one already.
    fn discard(&self, broken: &Connection) {
        self.open.lock().take_if(|open| Arc::ptr_eq(open, broken));
    }

    async fn connect(&self) -> Result<Connection, Away> {
        let (server, open) = (self.server.clone(), self.open.clone());
        let connecting = self.connects.join(&(), &self.tasks, async move {
            let connected = timeout(CONNECT_LIMIT, server.connect()).await;
            let connection = connected.map_err(|_| Away("no connection comes about".into()))?;
            let connection = Arc::new(connection.map_err(|error| Away::from(&error))?);
            *open.lock() = Some(connection.clone());
            Ok(connection)
        });
        connecting.await.unwrap_or_else(|| Err(Away("the gateway broke off while connecting".into())))
    }

    /// The connection goes with the failure: one that is half open never answers again.
    fn failed(&self, away: Away) -> Away {
        counter!("wxkf_redis_exchanges_total", "result" => "failed").increment(1);
        *self.open.lock() = None;
        *self.last_failure.lock() = away.clone();
        if self.breaker.failed() == Turn::Changed {
            warn!(error = %away, "Redis is away; access tokens are served from this process until it is back");
        }
        away
    }
}

fn wants_another_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}

impl From<&RedisError> for Away {
    /// Without the driver's detail: servers repeat arguments of commands in theirs.
    fn from(error: &RedisError) -> Self {
        let code = error.code().map(str::to_owned).or_else(|| {
            let errors = error.clone().into_server_errors()?;
            errors.first().map(|(_, error)| error.code().to_owned())
        });
        let io = error.source().filter(|_| error.is_io_error()).map(ToString::to_string);
        let text = code.map(|code| format!("it answered {code}")).or(io);
        Self(text.unwrap_or_else(|| error.category().to_owned()).into())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("away", &self.breaker.is_open()).finish_non_exhaustive()
    }
}
