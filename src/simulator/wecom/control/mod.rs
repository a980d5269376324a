//! `/simulator/*`: everything that a handle can do, by HTTP, for programs in other languages. The
//! routes and their OpenAPI document come from one list.
//!
//! Unlike the handle, which makes whatever a test names, these routes refuse unknown corps and
//! accounts: a slip in a script should show at once.

mod corps;
mod faults;
mod live;
mod state;
mod talk;
mod time;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Happening, Shared};

/// The document's head.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Simulated WeCom",
        description = "Scripts the simulated WeCom: corps, customers, faults, time. WeCom's own APIs are \
            below `/cgi-bin/`, as WeCom documents them.",
        contact(),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "Set up", description = "Corps with their apps and accounts"),
        (name = "Talk", description = "Customers, and what else makes WeCom call"),
        (name = "Faults", description = "What goes wrong, on request"),
        (name = "Time", description = "What happened, and the clock"),
    ),
)]
struct Head;

fn described() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(corps::put))
        .routes(routes!(corps::revoke_tokens))
        .routes(routes!(corps::reset_secret))
        .routes(routes!(state::state))
        .routes(routes!(talk::write))
        .routes(routes!(talk::enter))
        .routes(routes!(talk::answers))
        .routes(routes!(talk::send_event))
        .routes(routes!(talk::verify))
        .routes(routes!(faults::list, faults::add, faults::clear))
        .routes(routes!(faults::heal))
        .routes(routes!(time::journal))
        .routes(routes!(live::events))
        .routes(routes!(time::advance))
}

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    let (router, document) = described().split_for_parts();
    router.route("/simulator/openapi.json", get(move || async move { Json(document) })).with_state(shared)
}

type Sim = State<Arc<Shared>>;

/// A request that makes no sense here, told in words.
#[derive(Debug)]
struct Refused(StatusCode, String);

impl Refused {
    fn unknown(what: &str, name: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no {what} {name:?}: see POST /simulator/corps"))
    }

    fn slip(text: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, text.to_owned())
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl Shared {
    /// Into the journal, so that it explains itself to those who did not write the script.
    fn tell(&self, what: String) {
        self.journal.record(Happening::Scripted { what }, Instant::now());
    }

    fn knows_corp(&self, corp: &str) -> Result<(), Refused> {
        let known = self.world.lock().corps.contains_key(corp);
        if known { Ok(()) } else { Err(Refused::unknown("corp", corp)) }
    }

    fn knows_account(&self, corp: &str, open_kf_id: &str) -> Result<(), Refused> {
        self.knows_corp(corp)?;
        let world = self.world.lock();
        let known = world.corps.get(corp).is_some_and(|corp| corp.accounts.contains_key(open_kf_id));
        if known { Ok(()) } else { Err(Refused::unknown("account", open_kf_id)) }
    }
}

#[cfg(test)]
mod tests;
