//! All metrics of the gateway, room by room, and those of what is wired here.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use tracing::debug;

use crate::domain::Clock;
use crate::lifecycle::Tasks;
use crate::observe::{Family, Label, Measure, Values, declare};
use crate::store::corps_file::Reload;
use crate::store::{Backlog, Stock, Store};
use crate::{access_token, callback, dispatcher, http, proxy, services, telemetry, wecom};

/// Every family of metrics, by what it is about: the list behind `docs/metrics.md`.
pub const METRICS: &[(&str, &[Family])] = &[
    ("Callbacks", callback::METRICS),
    ("Delivery to bots", dispatcher::METRICS),
    ("Delivery to other services", services::METRICS),
    ("Access tokens", access_token::METRICS),
    ("Calls to WeCom", wecom::METRICS),
    ("WeCom's API through the gateway", proxy::METRICS),
    ("Forward proxy", proxy::forward::METRICS),
    ("HTTP interface", http::meters::METRICS),
    ("Health and settings", OWN),
    ("Process", telemetry::METRICS),
];

const OWN: &[Family] = &[
    Family {
        name: "wxkf_ready",
        measure: Measure::Gauge,
        labels: &[],
        says: "1 while `/readyz` says yes, degraded included; 0 while starting and draining",
        advice: "0 for long: the store was never reached since the start; the log says why.",
    },
    Family {
        name: "wxkf_dependency_up",
        measure: Measure::Gauge,
        labels: &[Label { name: "dependency", values: Values::These(http::health::PARTS) }],
        says: "1 while the part works, 0 while the gateway is degraded by it",
        advice: "`/readyz` has the error in words. Parts that are not used are up.",
    },
    Family {
        name: "wxkf_corps_file_reloads_total",
        measure: Measure::Counter,
        labels: &[Label { name: "result", values: Values::These(&["replaced", "kept"]) }],
        says: "Changes of `CORPS_FILE`: `replaced`, or the last good content `kept`, because the new one is invalid",
        advice: "`kept`: the log has the fault; `wxkf_dependency_up` shows whether it is mended.",
    },
    Family {
        name: "wxkf_registered_bots",
        measure: Measure::Gauge,
        labels: &[Label { name: "state", values: Values::These(&["online", "offline"]) }],
        says: "Registrations; `offline` are those that were deregistered. Of the whole store, counted once a minute",
        advice: "On a shared store all replicas say the same: take `max()`, also of the backlogs below.",
    },
    Family {
        name: "wxkf_held_events",
        measure: Measure::Gauge,
        labels: &[],
        says: "Events that wait for their bots, counted once a minute",
        advice: "Some wait whenever a bot restarts. What grows: bots are away; `GET /api/admin/deliveries` says which.",
    },
    Family {
        name: "wxkf_held_events_oldest_age_seconds",
        measure: Measure::Gauge,
        labels: &[],
        says: "For how long the oldest of them has waited; 0 without any",
        advice: "Near `EVENT_TTL` it will be given up.",
    },
    Family {
        name: "wxkf_service_backlog_events",
        measure: Measure::Gauge,
        labels: &[],
        says: "Events that wait for services, counted once a minute",
        advice: "A service keeps 100,000 at most; then the oldest are dropped. `GET /api/admin/deliveries?service=…` says whose.",
    },
    Family {
        name: "wxkf_service_backlog_bytes",
        measure: Measure::Gauge,
        labels: &[],
        says: "How many bytes these events have",
        advice: "A service keeps 256 MiB at most; it is on the store's disk.",
    },
    Family {
        name: "wxkf_service_backlog_oldest_age_seconds",
        measure: Measure::Gauge,
        labels: &[],
        says: "For how long the oldest of them has waited; 0 without any",
        advice: "How far the slowest service is behind. It expires with the service's `ttl`.",
    },
];

/// Counting reads whole indexes, and of a shared store every replica counts.
const STOCK_EVERY: Duration = Duration::from_secs(60);

/// Tells the recorder of all of them.
pub(super) fn declare_all() {
    for (_, families) in METRICS {
        declare(families);
    }
}

/// Counts a look at `CORPS_FILE` that found something.
pub(super) fn reloaded(reload: &Reload) {
    let result = match reload {
        Reload::Unchanged => return,
        Reload::Replaced { .. } => "replaced",
        Reload::Kept(_) => "kept",
    };
    counter!("wxkf_corps_file_reloads_total", "result" => result).increment(1);
}

/// Counts what the store holds until the gateway stops. A store that is away is told of elsewhere.
pub(super) async fn take_stock(store: Arc<dyn Store>, clock: Clock, tasks: Tasks) {
    loop {
        match store.stock().await {
            Ok(stock) => show(&stock, &clock),
            Err(error) => debug!(%error, "cannot count what the store holds"),
        }
        if !tasks.pause(STOCK_EVERY).await {
            return;
        }
    }
}

fn show(stock: &Stock, clock: &Clock) {
    let age = |backlog: &Backlog| {
        let age = backlog.oldest.map(|oldest| clock.now().duration_since(oldest).as_secs_f64());
        age.unwrap_or_default().max(0.0)
    };
    gauge!("wxkf_registered_bots", "state" => "online").set(stock.online_bots as f64);
    gauge!("wxkf_registered_bots", "state" => "offline").set(stock.offline_bots as f64);
    gauge!("wxkf_held_events").set(stock.held.events as f64);
    gauge!("wxkf_held_events_oldest_age_seconds").set(age(&stock.held));
    gauge!("wxkf_service_backlog_events").set(stock.queued.events as f64);
    gauge!("wxkf_service_backlog_bytes").set(stock.queued.bytes as f64);
    gauge!("wxkf_service_backlog_oldest_age_seconds").set(age(&stock.queued));
}
