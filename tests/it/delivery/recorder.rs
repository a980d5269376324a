//! Lean bots for hundreds of accounts on one port: `http://…/{kf id}` is the endpoint of each. They
//! keep what they are sent, and meet it as told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::any;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt as _;
use wxkf_gateway::callback::crypto;
use wxkf_gateway::domain::EncodingAesKey;
use wxkf_gateway::lifecycle::Tasks;

use crate::harness::AES_KEY;

/// How a bot meets a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Take,
    /// Takes it, but answers only then.
    TakeAfter(Duration),
    Refuse,
    Hang,
}

/// A dispatch as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    pub(crate) account: String,
    /// Behind the endpoint: `callback` or `callback/decrypted`.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) content_type: String,
    /// Empty when it was told of no trace.
    pub(crate) traceparent: String,
    pub(crate) body: Bytes,
    /// The sync token in it.
    pub(crate) token: Option<String>,
    pub(crate) at: Instant,
    /// Whether it was answered 2xx.
    pub(crate) taken: bool,
}

struct Shared {
    manner: Mutex<Manner>,
    manners: Mutex<HashMap<String, Manner>>,
    dispatches: Mutex<Vec<Dispatch>>,
    probes: Mutex<usize>,
}

/// The bots.
pub(crate) struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let shared = Shared {
            manner: Mutex::new(Manner::Take),
            manners: Mutex::default(),
            dispatches: Mutex::default(),
            probes: Mutex::default(),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut bots = Self { address, shared: Arc::new(shared), serving: None };
        bots.open().await;
        bots
    }

    /// The same bots, for another world.
    pub(crate) fn shared(&self) -> Self {
        Self { address: self.address, shared: self.shared.clone(), serving: None }
    }

    /// Nobody listens any more; whatever is open breaks off.
    pub(crate) async fn close(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Only then is the port closed.
            let _ = serving.await;
        }
    }

    /// Listens (again), on the same port.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.serving = Some(Tasks::new().spawn(serve(listener, self.shared.clone())));
    }

    pub(crate) fn endpoint(&self, account: &str) -> String {
        format!("http://{}/{account}", self.address)
    }

    /// How all behave from now on.
    pub(crate) fn all(&self, manner: Manner) {
        self.shared.manners.lock().clear();
        *self.shared.manner.lock() = manner;
    }

    /// How one behaves from now on.
    pub(crate) fn one(&self, account: &str, manner: Manner) {
        self.shared.manners.lock().insert(account.to_owned(), manner);
    }

    /// What the account's bot was sent, in order.
    pub(crate) fn sent(&self, account: &str) -> Vec<Dispatch> {
        self.shared.dispatches.lock().iter().filter(|dispatch| dispatch.account == account).cloned().collect()
    }

    /// What all bots were sent, in order.
    pub(crate) fn all_sent(&self) -> Vec<Dispatch> {
        self.shared.dispatches.lock().clone()
    }

    /// The sync tokens that the account's bot took.
    pub(crate) fn taken(&self, account: &str) -> Vec<Option<String>> {
        self.sent(account).into_iter().filter(|dispatch| dispatch.taken).map(|dispatch| dispatch.token).collect()
    }

    /// Harmless questions whether somebody listens.
    pub(crate) fn probes(&self) -> usize {
        *self.shared.probes.lock()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new().route("/{account}/{*path}", any(receive)).with_state(shared);
    // Dropped with this task, which cuts every connection.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let router = router.clone();
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            router.clone().oneshot(request.map(axum::body::Body::new))
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    Path((account, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let at = Instant::now();
    if method == Method::GET {
        *shared.probes.lock() += 1;
        return (StatusCode::NOT_FOUND, "Cannot GET /callback");
    }
    let manner = *shared.manners.lock().get(&account).unwrap_or(&*shared.manner.lock());
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (content_type, traceparent) = (header("content-type"), header("traceparent"));
    let (taken, token) = (matches!(manner, Manner::Take | Manner::TakeAfter(_)), token_in(&path, &body));
    let query = query.unwrap_or_default();
    let dispatch = Dispatch { account, path, query, content_type, traceparent, body, token, at, taken };
    shared.dispatches.lock().push(dispatch);
    match manner {
        Manner::Take => {}
        Manner::TakeAfter(delay) => tokio::time::sleep(delay).await,
        Manner::Refuse => return (StatusCode::INTERNAL_SERVER_ERROR, "refused on request"),
        Manner::Hang => std::future::pending().await,
    }
    (StatusCode::OK, "success")
}

fn token_in(path: &str, body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if path == "callback/decrypted" {
        let event: serde_json::Value = serde_json::from_str(text).ok()?;
        return event["token"].as_str().map(str::to_owned);
    }
    let sealed = between(text, "<Encrypt><![CDATA[", "]]>")?;
    let opened = crypto::decrypt(EncodingAesKey::parse(AES_KEY).ok()?.key(), sealed).ok()?;
    let inner = String::from_utf8(opened.message.to_vec()).ok()?;
    between(&inner, "<Token><![CDATA[", "]]>").map(str::to_owned)
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(inside, _)| inside)
}
