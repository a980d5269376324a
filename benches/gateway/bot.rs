//! A bot that answers at once and counts.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;

pub struct Bot {
    port: u16,
    pokes: Arc<AtomicU64>,
}

impl Bot {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let bot = Self { port: listener.local_addr()?.port(), pokes: Arc::new(AtomicU64::new(0)) };
        bot.serve(listener);
        Ok(bot)
    }

    /// From now on it is so many bots, each at an address of its own.
    pub async fn multiply(&self, bots: usize) -> anyhow::Result<()> {
        for bot in 0..bots {
            self.serve(TcpListener::bind((address(bot), self.port)).await?);
        }
        Ok(())
    }

    fn serve(&self, listener: TcpListener) {
        let router = Router::new().route("/callback", post(poked)).with_state(self.pokes.clone());
        #[expect(clippy::disallowed_methods, reason = "lives as long as the benchmark")]
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    pub fn url(&self) -> String {
        self.url_at(Ipv4Addr::LOCALHOST)
    }

    /// Of one of many.
    pub fn url_of(&self, bot: usize) -> String {
        self.url_at(address(bot))
    }

    fn url_at(&self, address: Ipv4Addr) -> String {
        format!("http://{address}:{}", self.port)
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

/// Loopback has sixteen million.
fn address(bot: usize) -> Ipv4Addr {
    let first = u32::from(Ipv4Addr::new(127, 0, 1, 0));
    Ipv4Addr::from(first + u32::try_from(bot).unwrap_or_default())
}

async fn poked(State(pokes): State<Arc<AtomicU64>>, _body: String) -> &'static str {
    pokes.fetch_add(1, Ordering::Relaxed);
    "success"
}
