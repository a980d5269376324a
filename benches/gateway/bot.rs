//! A bot that answers at once and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub struct Bot {
    port: u16,
    pokes: Arc<AtomicU64>,
    _serving: JoinHandle<std::io::Result<()>>,
}

impl Bot {
    pub async fn start() -> anyhow::Result<Self> {
        let pokes = Arc::new(AtomicU64::new(0));
        let router = Router::new().route("/callback", post(poked)).with_state(pokes.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        #[expect(clippy::disallowed_methods, reason = "lives as long as the benchmark")]
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { port, pokes, _serving: serving })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How long it takes until so many have come.
    pub async fn has_taken(&self, pokes: u64) -> anyhow::Result<Duration> {
        let began = Instant::now();
        while self.pokes() < pokes {
            ensure!(began.elapsed() < Duration::from_secs(120), "{} of {pokes} arrived", self.pokes());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(began.elapsed())
    }

    pub fn pokes(&self) -> u64 {
        self.pokes.load(Ordering::Relaxed)
    }
}

async fn poked(State(pokes): State<Arc<AtomicU64>>, _body: String) -> &'static str {
    pokes.fetch_add(1, Ordering::Relaxed);
    "success"
}
