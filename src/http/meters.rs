//! What is counted of requests that are no callbacks and no token reads (which have metrics of their own), of
//! wrong passwords, and of the record of changes.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{Histogram, histogram};
use tokio::time::Instant;

use crate::observe::{Family, Label, Measure, Values};

/// The metrics of the HTTP interface.
pub const METRICS: &[Family] = &[
    Family {
        name: "wxkf_http_request_duration_seconds",
        measure: Measure::Durations,
        labels: &[
            Label {
                name: "route",
                values: Values::Of("a route as the API document has it, such as `/api/admin/corps/{corpId}`"),
            },
            Label { name: "method", values: Values::Of("the methods that routes have; any other one is `other`") },
            Label { name: "status", values: Values::These(&["1xx", "2xx", "3xx", "4xx", "5xx"]) },
        ],
        says: "From a request's head to the head of its answer: bots' registrations, calls of WeCom's API, the admin API",
        advice: "Its count has rate and errors of each route. For calls of WeCom's API it is mostly WeCom's own time.",
    },
    Family {
        name: "wxkf_wrong_passwords_total",
        measure: Measure::Counter,
        labels: &[
            Label { name: "setting", values: Values::These(&["ADMIN_TOKEN", "PUPPET_PASSWORD"]) },
            Label { name: "answer", values: Values::These(&["refused", "turned_away"]) },
        ],
        says: "Requests with a wrong `ADMIN_TOKEN` or `PUPPET_PASSWORD`, by setting and answer (401, after a delay when repeated; 429)",
        advice: "`GET /api/admin/audit` has the addresses: somebody who guesses, or a bot that was left behind when the password changed.",
    },
    Family {
        name: "wxkf_audit_entries_total",
        measure: Measure::Counter,
        labels: &[Label { name: "result", values: Values::These(&["recorded", "failed", "left_out"]) }],
        says: "Entries of the record of changes by result",
        advice: "`failed`: the store did not take it, and the log has it. `left_out`: refusals beyond 20 an hour.",
    },
];

const DURATION: &str = "wxkf_http_request_duration_seconds";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1
}

/// Measures a request.
pub async fn measured(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = known_method(request.method()).unwrap_or("other");
    let response = next.run(request).await;
    let labels =
        [("route", route), ("method", method.to_owned()), ("status", CLASSES[class(response.status())].to_owned())];
    histogram!(DURATION, &labels).record(began.elapsed());
    response
}

/// The same for a route that is called all the time: looked up once, and without a layer around it.
pub struct RouteMeter([Histogram; 5]);

impl RouteMeter {
    /// The method in any case.
    pub fn new(route: &'static str, method: &str) -> Self {
        let method = method.to_ascii_uppercase();
        let histogram = |status| histogram!(DURATION, "route" => route, "method" => method.clone(), "status" => status);
        Self(CLASSES.map(histogram))
    }

    pub fn record(&self, status: StatusCode, after: Duration) {
        self.0[class(status)].record(after);
    }
}

impl std::fmt::Debug for RouteMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RouteMeter")
    }
}

/// A method that routes have; callers may write any.
pub(super) fn known_method(method: &Method) -> Option<&'static str> {
    ["GET", "HEAD", "POST", "PUT", "DELETE"].into_iter().find(|known| *known == method.as_str())
}
