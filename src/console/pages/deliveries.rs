//! Events that were not delivered: of which corp, for whom, and why not.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::admin::Desk;
use crate::admin::deliveries::{DeliveryFilter, DeliveryView};
use crate::console::form::Form;
use crate::console::shell::{Shell, part, render};
use crate::console::stream;
use crate::console::text::{Done, Words};
use crate::http::audit::Auditor;
use crate::http::health::Health;
use crate::http::problem::Problem;
use crate::store::HeldState;

const EVERY: Duration = Duration::from_secs(2);
const A_PAGE: usize = 50;

#[derive(Template)]
#[template(path = "deliveries.html", config = "src/console/askama.toml")]
struct DeliveriesPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    filter: &'p Filter,
    is_filtered: bool,
    rows: String,
    next: Option<String>,
    /// The first page, from a later one.
    first: Option<String>,
    source: String,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "delivery_rows.html", config = "src/console/askama.toml")]
struct DeliveryRows<'p> {
    shell: &'p Shell,
    t: &'static Words,
    rows: Vec<Row>,
    is_filtered: bool,
}

struct Row {
    delivery: DeliveryView,
    is_expired: bool,
    whom: String,
    event: String,
    error: String,
}

/// What the form of the filter sends.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Filter {
    state: String,
    corp_id: String,
    open_kf_id: String,
    service: String,
    cursor: String,
}

impl Filter {
    fn is_any(&self) -> bool {
        [&self.state, &self.corp_id, &self.open_kf_id, &self.service].iter().any(|field| !field.is_empty())
    }

    fn query(&self, cursor: &str) -> String {
        let fields = [
            ("state", &*self.state),
            ("corpId", &self.corp_id),
            ("openKfId", &self.open_kf_id),
            ("service", &self.service),
            ("cursor", cursor),
        ];
        let filled = fields.into_iter().filter(|(_, value)| !value.is_empty());
        form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish()
    }

    /// As the API takes it.
    fn of_the_api(&self) -> DeliveryFilter {
        let text = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        DeliveryFilter {
            state: match &*self.state {
                "live" => Some(HeldState::Live),
                "expired" => Some(HeldState::Expired),
                _ => None,
            },
            corp_id: text(&self.corp_id),
            open_kf_id: text(&self.open_kf_id),
            service: text(&self.service),
            cursor: text(&self.cursor),
            limit: Some(A_PAGE),
        }
    }
}

pub async fn page(shell: Shell, State(desk): State<Arc<Desk>>, Query(filter): Query<Filter>) -> Response {
    show(&shell, &desk, &filter, StatusCode::OK, None).await
}

async fn show(shell: &Shell, desk: &Desk, filter: &Filter, status: StatusCode, fault: Option<String>) -> Response {
    let shell = &shell.in_place_of("deliveries");
    let (rows, next, status, fault) = match rows(shell, desk, filter).await {
        Ok((rows, next)) => (rows, next, status, fault),
        Err(problem) if problem.code() == StatusCode::BAD_REQUEST => {
            (String::new(), None, StatusCode::BAD_REQUEST, Some(shell.t.say(&problem.detail)))
        }
        Err(problem) => return shell.problem(&problem),
    };
    let link = |path: &str, cursor: &str| shell.to(&format!("{path}?{}", filter.query(cursor)));
    let page = DeliveriesPage {
        shell,
        t: shell.t,
        filter,
        is_filtered: filter.is_any(),
        rows,
        next: next.map(|next| link("deliveries", &next)),
        first: (!filter.cursor.is_empty()).then(|| link("deliveries", "")),
        source: link("deliveries/live", &filter.cursor),
        fault,
    };
    render(status, &page)
}

/// The rows, as they change.
pub async fn live(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    State(health): State<Health>,
    Query(filter): Query<Filter>,
) -> Response {
    let shell = shell.at("deliveries");
    let render = move || {
        let (shell, desk, filter) = (shell.clone(), desk.clone(), filter.clone());
        async move { rows(&shell, &desk, &filter).await.ok().map(|(rows, _)| rows) }
    };
    stream::part(health, EVERY, render)
}

async fn rows(shell: &Shell, desk: &Desk, filter: &Filter) -> Result<(String, Option<String>), Problem> {
    let t = shell.t;
    let page = desk.list_deliveries(filter.of_the_api()).await?;
    let row = |delivery: DeliveryView| Row {
        is_expired: delivery.state == HeldState::Expired,
        whom: delivery.open_kf_id.clone().or_else(|| delivery.service.clone()).unwrap_or_default(),
        event: delivery.event.clone().unwrap_or_default(),
        error: delivery.last_error.as_deref().map(|error| t.say(error)).unwrap_or_default(),
        delivery,
    };
    let rows = page.items.into_iter().map(row).collect();
    Ok((part(&DeliveryRows { shell, t, rows, is_filtered: filter.is_any() }), page.next))
}

/// Sends the event now.
pub async fn redeliver(shell: Shell, State(desk): State<Arc<Desk>>, auditor: Auditor, form: Form) -> Response {
    let outcome = desk.redeliver(&auditor, form.text("id")).await;
    after(&shell, &desk, outcome, Done::Redelivered).await
}

pub async fn delete(shell: Shell, State(desk): State<Arc<Desk>>, auditor: Auditor, form: Form) -> Response {
    let outcome = desk.delete_delivery(&auditor, form.text("id")).await;
    after(&shell, &desk, outcome, Done::DeliveryDeleted).await
}

async fn after(shell: &Shell, desk: &Desk, outcome: Result<(), Problem>, done: Done) -> Response {
    match outcome {
        Ok(()) => shell.done("deliveries", done),
        Err(problem) => show(shell, desk, &Filter::default(), problem.code(), Some(shell.t.say(&problem.detail))).await,
    }
}
