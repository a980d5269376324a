//! Where Redis is: one server, or the master that Sentinels name.
//!
//! The one decision a reader would question: Sentinels are asked at every connect and all at once, and
//! the first whose master can be connected to and says it is one wins. A dead or outvoted Sentinel
//! then delays nobody, and a failover needs no event: the old connection breaks, the next finds the
//! new master.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, RedisResult, Value,
};

use crate::domain::{Invalid, Secret};

const SENTINEL_SCHEME: &str = "redis-sentinel://";
const SENTINEL_PORT: u16 = 26379;
/// Commands that wait to be written. More of them at a time only wait elsewhere.
const PIPELINE: usize = 1024;
/// A peer that vanished is noticed on a connection where nothing is asked.
const KEEPALIVE: Duration = Duration::from_secs(10);

const RULE: Invalid = Invalid("must be redis://, rediss:// or redis-sentinel://host,host/master-name");

#[derive(Clone)]
pub(super) enum Server {
    One(Client),
    Sentinel(Sentinels),
}

#[derive(Clone)]
pub(super) struct Sentinels {
    hosts: Vec<Host>,
    master: Arc<str>,
    /// For the master itself.
    credentials: RedisConnectionInfo,
}

#[derive(Clone)]
struct Host {
    /// Most Sentinels ask for no password and refuse to be given one.
    open: Client,
    guarded: Client,
}

impl Server {
    /// Reads `REDIS_URL`; connects to nobody.
    pub(super) fn parse(url: &Secret) -> Result<Self, Invalid> {
        match url.expose().strip_prefix(SENTINEL_SCHEME) {
            Some(rest) => Sentinels::parse(rest).map(Self::Sentinel),
            None => client(url.expose().into_connection_info().map_err(|_| RULE)?).map(Self::One).map_err(|_| RULE),
        }
    }

    pub(super) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        match self {
            Self::One(client) => connect(client).await,
            Self::Sentinel(sentinels) => {
                let ways = sentinels.hosts.iter().map(|host| sentinels.connect_by(host).boxed());
                select_ok(ways).await.map(|(connection, _)| connection)
            }
        }
    }
}

impl Sentinels {
    /// `[user:password@]host[:port],…/master-name`
    fn parse(rest: &str) -> Result<Self, Invalid> {
        let (hosts, master) = rest.rsplit_once('/').filter(|(_, master)| !master.is_empty()).ok_or(RULE)?;
        let (user, hosts) = hosts.rsplit_once('@').map_or(("", hosts), |(user, hosts)| (user, hosts));
        let at = if user.is_empty() { "" } else { "@" };
        // By way of the driver, which decodes what is percent-encoded.
        let credentials = format!("redis://{user}{at}host").into_connection_info().map_err(|_| RULE)?;
        let credentials = credentials.redis_settings().clone();
        let hosts = hosts.split(',').map(|host| Host::parse(host.trim(), &credentials)).collect::<Result<_, _>>()?;
        Ok(Self { hosts, master: master.into(), credentials })
    }

    async fn connect_by(&self, host: &Host) -> RedisResult<MultiplexedConnection> {
        let (name, port) = match self.master_named_by(&host.open).await {
            Err(error) if error.code() == Some("NOAUTH") => self.master_named_by(&host.guarded).await?,
            answer => answer?,
        };
        let info = ConnectionAddr::Tcp(name, port).into_connection_info()?;
        let mut connection = connect(&client(info.set_redis_settings(self.credentials.clone()))?).await?;
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
            _ => Err(RedisError::from((ErrorKind::Io, "the Sentinel named a server that is no master any more"))),
        }
    }

    async fn master_named_by(&self, sentinel: &Client) -> RedisResult<(String, u16)> {
        let mut connection = connect(sentinel).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&*self.master);
        let named: Option<(String, u16)> = question.query_async(&mut connection).await?;
        named.ok_or_else(|| RedisError::from((ErrorKind::InvalidClientConfig, "the Sentinel knows no such master")))
    }
}

impl Host {
    fn parse(host: &str, credentials: &RedisConnectionInfo) -> Result<Self, Invalid> {
        let url = url::Url::parse(&format!("redis://{host}")).map_err(|_| RULE)?;
        let name = url.host_str().ok_or(RULE)?.trim_matches(['[', ']']).to_owned();
        let address = ConnectionAddr::Tcp(name, url.port().unwrap_or(SENTINEL_PORT));
        let open = address.into_connection_info().map_err(|_| RULE)?;
        let guarded = open.clone().set_redis_settings(credentials.clone());
        Ok(Self { open: client(open).map_err(|_| RULE)?, guarded: client(guarded).map_err(|_| RULE)? })
    }
}

fn client(info: ConnectionInfo) -> RedisResult<Client> {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true).set_keepalive(keepalive)))
}

/// Without limits of its own: whoever connects or asks has one.
async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(PIPELINE);
    client.get_multiplexed_async_connection_with_config(&config).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinels(url: &str) -> Sentinels {
        match Server::parse(&Secret::new(url)).unwrap() {
            Server::Sentinel(sentinels) => sentinels,
            Server::One(_) => panic!("{url} names Sentinels"),
        }
    }

    fn address(client: &Client) -> String {
        client.get_connection_info().addr().to_string()
    }

    #[test]
    fn sentinels_have_a_port_of_their_own_and_the_master_the_password() {
        let sentinels = sentinels("redis-sentinel://user:p%40ss@h1, h2:1234,[::1]/the-master");
        let hosts: Vec<_> = sentinels.hosts.iter().map(|host| address(&host.open)).collect();
        assert_eq!(hosts, ["h1:26379", "h2:1234", "::1:26379"]);
        assert_eq!((sentinels.credentials.username(), sentinels.credentials.password()), (Some("user"), Some("p@ss")));
        assert_eq!(&*sentinels.master, "the-master");
        for host in &sentinels.hosts {
            assert_eq!(host.open.get_connection_info().redis_settings().password(), None);
            assert_eq!(host.guarded.get_connection_info().redis_settings().password(), Some("p@ss"));
        }
    }

    #[test]
    fn one_server_is_taken_as_the_driver_reads_it() {
        let Ok(Server::One(client)) = Server::parse(&Secret::new("rediss://:p@h:1/2")) else { panic!() };
        assert_eq!((address(&client).as_str(), client.get_connection_info().redis_settings().db()), ("h:1", 2));
        for wrong in ["http://h", "redis://", "redis-sentinel://h1,h2", "redis-sentinel://,h2/m", "redis-sentinel:///m"]
        {
            assert!(Server::parse(&Secret::new(wrong)).is_err(), "{wrong}");
        }
    }
}
