//! Other services of the app, on one port: `http://…/{name}` is the url of each. They keep what they are
//! sent, and meet it as told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wxkf_gateway::lifecycle::Tasks;

/// How a service meets an event.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    Take,
    TakeAfter(Duration),
    Answer(u16),
    /// Those whose body holds the text; it takes the others.
    AnswerTo(&'static str, u16),
    /// Refuses one in so many.
    AtRandom(u32),
    Hang,
}

/// A call as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) service: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether it was answered 2xx.
    pub(crate) taken: bool,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Shared {
    manners: Mutex<HashMap<String, Manner>>,
    calls: Mutex<Vec<Call>>,
}

/// The services.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new().route("/{service}", post(receive)).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Tasks::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, serving }
    }

    pub(crate) fn url(&self, service: &str) -> String {
        format!("http://{}/{service}", self.address)
    }

    pub(crate) fn meet(&self, service: &str, manner: Manner) {
        self.shared.manners.lock().insert(service.to_owned(), manner);
    }

    /// What the service was sent, in order.
    pub(crate) fn calls(&self, service: &str) -> Vec<Call> {
        self.shared.calls.lock().iter().filter(|call| call.service == service).cloned().collect()
    }

    /// What it took.
    pub(crate) fn taken(&self, service: &str) -> Vec<Call> {
        self.calls(service).into_iter().filter(|call| call.taken).collect()
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let manner = shared.manners.lock().get(&service).cloned().unwrap_or(Manner::Take);
    let status = match manner {
        Manner::Take | Manner::TakeAfter(_) | Manner::Hang => 200,
        Manner::Answer(status) => status,
        Manner::AnswerTo(text, status) if String::from_utf8_lossy(&body).contains(text) => status,
        Manner::AnswerTo(..) => 200,
        Manner::AtRandom(of) => {
            if rand::random_range(0..of) == 0 {
                503
            } else {
                200
            }
        }
    };
    let taken = status == 200 && !matches!(manner, Manner::Hang);
    // Whoever is told to be slow has taken it when it answers, not before.
    if let Manner::TakeAfter(delay) = manner {
        tokio::time::sleep(delay).await;
    }
    let query = query.unwrap_or_default();
    shared.calls.lock().push(Call { service, query, headers, body, taken });
    if matches!(manner, Manner::Hang) {
        std::future::pending::<()>().await;
    }
    StatusCode::from_u16(status).unwrap()
}
