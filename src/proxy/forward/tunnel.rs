//! What happens within a tunnel: bytes both ways, as they are, until a side or a limit ends it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, counter};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::time::sleep;
use tokio_util::io::{InspectReader, InspectWriter};

use super::Limits;
use crate::egress::AllowedHost;
use crate::lifecycle::Tasks;

/// How often within a limit it is looked whether anything passed: cheaper than a timer that is set anew
/// with every piece, for an end that may be so much of the limit late.
const LOOKS: u32 = 4;

/// Why a tunnel ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Both sides said so.
    Closed,
    Broken(io::Error),
    Idle,
    Old,
    Stopped,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by both sides"),
            Self::Broken(error) => write!(f, "broke off: {error}"),
            Self::Idle => f.write_str("idle for too long"),
            Self::Old => f.write_str("open for too long"),
            Self::Stopped => f.write_str("the gateway stops"),
        }
    }
}

/// Counts what passes. Clones count together.
#[derive(Clone)]
pub(super) struct Passed {
    total: Arc<AtomicU64>,
    up: Counter,
    down: Counter,
}

impl Passed {
    pub(super) fn new(host: &AllowedHost) -> Self {
        let bytes = |direction: &'static str| counter!("wxkf_egress_bytes_total", "host" => host.label(), "direction" => direction);
        Self { total: Arc::default(), up: bytes("up"), down: bytes("down") }
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn counting(&self, direction: &Counter) -> impl FnMut(&[u8]) + use<> {
        let (total, direction) = (self.total.clone(), direction.clone());
        move |piece| {
            total.fetch_add(piece.len() as u64, Ordering::Relaxed);
            direction.increment(piece.len() as u64);
        }
    }

    /// Completes when nothing passed for so long.
    async fn silent(&self, limit: Duration) {
        let (mut seen, mut quiet) = (self.total(), 0);
        while quiet < LOOKS {
            sleep(limit / LOOKS).await;
            let now = self.total();
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
        }
    }
}

/// Carries until the end. A side that has no more to say is told to the other, which may go on.
pub(super) async fn carry<C, S>(caller: C, mut server: S, passed: Passed, limits: Limits, tasks: &Tasks) -> Ended
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let caller = InspectReader::new(caller, passed.counting(&passed.up));
    let mut caller = InspectWriter::new(caller, passed.counting(&passed.down));
    let stopped = async {
        tasks.stopping().await;
        passed.silent(limits.idle_in_drain).await;
    };
    tokio::select! {
        copied = copy_bidirectional(&mut caller, &mut server) => match copied {
            Ok(_) => Ended::Closed,
            Err(error) => Ended::Broken(error),
        },
        () = passed.silent(limits.idle) => Ended::Idle,
        () = sleep(limits.life) => Ended::Old,
        () = stopped => Ended::Stopped,
    }
}
