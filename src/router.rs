//! Every route on one page, by audience. The same list makes the router, and the OpenAPI document that is committed.

use axum::extract::{FromRef as _, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, AppState};
use crate::console::session::{self, Sessions};
use crate::domain::Clock;
use crate::http::{audit, auth, health, meters, problem, trace};
use crate::observe::Span;
use crate::openapi;
use crate::proxy::forward;
use crate::{access_token, admin, callback, console, manager, proxy};

pub use crate::http::routes::Routes;
use crate::http::routes::to_one_spelling;

/// What WeCom calls. Its signature is the door.
fn wecom() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(callback::routes::verify, callback::routes::receive))
}

/// What bots and the corp's other programs call all the time: each handler asks for its [`auth::Caller`] and
/// measures itself, because a layer costs as much as some of them.
fn calls() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(callback::routes::receive_decrypted))
        .routes(routes!(access_token::routes::puppet_get_token))
        .routes(routes!(access_token::routes::corp_access_token))
        .routes(routes!(proxy::routes::bots_get, proxy::routes::bots_post))
        .routes(routes!(proxy::routes::sdks_get, proxy::routes::sdks_post))
}

/// What bots ask of the registry.
fn registry() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(manager::routes::info))
}

/// What bots change in it.
fn changes_of_registry() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(manager::routes::register)).routes(routes!(manager::routes::deregister))
}

/// What operators call.
fn operators() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(admin::corps::list))
        .routes(routes!(admin::corps::get, admin::corps::put, admin::corps::delete))
        .routes(routes!(admin::services::list))
        .routes(routes!(admin::services::get, admin::services::put, admin::services::delete))
        .routes(routes!(admin::services::test))
        .routes(routes!(admin::puppets::list))
        .routes(routes!(admin::puppets::delete))
        .routes(routes!(admin::deliveries::list))
        .routes(routes!(admin::deliveries::delete))
        .routes(routes!(admin::deliveries::redeliver))
        .routes(routes!(admin::tokens::list))
        .routes(routes!(admin::tokens::renew))
        .routes(routes!(admin::audit::list))
}

/// What probes and scrapers call.
fn probes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health::livez)).routes(routes!(health::readyz)).routes(routes!(health::metrics))
}

/// What readers call, of bots and services as well as of operators.
fn documents() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(openapi::serve))
        .routes(routes!(openapi::docs::page))
        .route("/docs/{*file}", get(openapi::docs::file))
}

/// What operators look at with a browser, once they are signed in. No API: the document does not tell of it.
fn console() -> OpenApiRouter<AppState> {
    use console::pages::*;
    OpenApiRouter::new()
        .route("/console", get(overview::page))
        .route("/console/live", get(overview::live))
        .route("/console/corps", get(corps::page).post(corps::add))
        .route("/console/corps/{corpId}", get(corp::page))
        .route("/console/corps/{corpId}/live", get(corp::live))
        .route("/console/corps/{corpId}/add-credential", post(corp::add_credential))
        .route("/console/corps/{corpId}/remove-credential", post(corp::remove_credential))
        .route("/console/corps/{corpId}/proxy", post(corp::set_proxy))
        .route("/console/corps/{corpId}/remove", post(corp::remove))
        .route("/console/corps/{corpId}/new-service", get(service::new).post(service::add))
        .route("/console/corps/{corpId}/services/{name}", get(service::page).post(service::save))
        .route("/console/corps/{corpId}/services/{name}/remove", post(service::remove))
        .route("/console/corps/{corpId}/services/{name}/test", get(corp::after_test).post(corp::test_service))
        .route("/console/bots", get(bots::page))
        .route("/console/bots/live", get(bots::live))
        .route("/console/bots/redeliver", post(bots::redeliver))
        .route("/console/bots/remove", post(bots::remove))
        .route("/console/deliveries", get(deliveries::page))
        .route("/console/deliveries/live", get(deliveries::live))
        .route("/console/deliveries/redeliver", post(deliveries::redeliver))
        .route("/console/deliveries/delete", post(deliveries::delete))
        .route("/console/tokens", get(tokens::page))
        .route("/console/tokens/renew", post(tokens::renew))
        .route("/console/tail", get(tail::page))
        .route("/console/tail/hops", get(tail::hops))
        .route("/console/audit", get(audit::page))
        .route("/console/{*path}", any(fault::unknown))
}

/// What the console shows to anybody.
fn console_door() -> OpenApiRouter<AppState> {
    use console::pages::sign_in;
    OpenApiRouter::new()
        .route("/console/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console/language", post(sign_in::language))
        .route("/console/files/{name}", get(console::files::file))
}

/// The whole document, made of the routes; needs no gateway.
pub fn document() -> String {
    let routes = OpenApiRouter::with_openapi(openapi::Head::openapi())
        .merge(wecom())
        .merge(calls())
        .merge(registry())
        .merge(changes_of_registry())
        .merge(operators())
        .merge(probes())
        .merge(documents());
    let mut document = routes.into_openapi();
    openapi::name_items_of_pages(&mut document);
    openapi::describe_doors(&mut document);
    openapi::describe_webhooks(&mut document);
    openapi::text(&document)
}

/// Which routes a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// `PORT` without `OPS_PORT`: everything.
    Everybody,
    /// `PORT` beside `OPS_PORT`: WeCom, bots, and the document.
    Services,
    /// `PUBLIC_PORT`: the callback alone.
    Public,
    /// `OPS_PORT`: operators and operations.
    Operators,
}

/// The routes of one listener, doors included.
pub fn routes(audience: Audience, app: &App) -> Routes {
    let puppets = app.doors.puppets.clone();
    let admins = app.doors.admins.clone();
    // Behind the doors: whoever is not let in changes nothing.
    let to_its_end = || from_fn_with_state(app.state.clone(), audit::to_its_end);
    let bots = || {
        let registry = registry().merge(changes_of_registry().route_layer(to_its_end()));
        let guarded = registry.route_layer(from_fn_with_state(puppets, auth::require_puppet_password));
        calls().merge(guarded.layer(from_fn(meters::measured)))
    };
    let operators = || {
        let none = || any(problem::no_such_path);
        let operators = operators().route("/api/admin", none()).route("/api/admin/{*path}", none());
        let changing = operators.route_layer(to_its_end());
        let guarded = changing.route_layer(from_fn_with_state(admins, auth::require_admin_token));
        guarded.layer(map_response(problem::in_one_shape)).layer(from_fn(meters::measured))
    };
    let documents = || documents().layer(map_response(problem::in_one_shape));
    let operations = || documents().merge(probes().layer(map_response(problem::in_one_shape)));
    let sessions = Sessions::new(app.doors.admins.clone(), Clock::from_ref(&app.state));
    let console = || {
        let changing = console().route_layer(to_its_end());
        let guarded = changing.route_layer(from_fn_with_state(sessions.clone(), session::require_session));
        let all = guarded.merge(console_door()).layer(Extension(sessions.clone()));
        all.layer(from_fn_with_state(sessions.clone(), session::require_token)).layer(map_response(console::dress))
    };
    let routes = match audience {
        Audience::Everybody => traced(wecom().merge(bots()).merge(operators())).merge(operations()).merge(console()),
        Audience::Services => traced(wecom().merge(bots())).merge(documents()),
        // WeCom uses these two methods; what else there is to learn is nobody's business.
        Audience::Public => traced(wecom()).layer(from_fn(only_get_and_post)),
        Audience::Operators => traced(operators()).merge(operations()).merge(console()),
    };
    let (router, _document) = routes.split_for_parts();
    let spelled_console = || {
        let pages =
            Router::new().route("/console/", get(to_one_spelling)).route("/console/{*path}", get(to_one_spelling));
        pages.layer(from_fn_with_state(sessions.clone(), session::require_token)).layer(map_response(console::dress))
    };
    let spelled_docs = || Router::new().route("/docs/", get(to_one_spelling));
    let as_spelled = match audience {
        Audience::Everybody | Audience::Operators => spelled_docs().merge(spelled_console()),
        Audience::Services => spelled_docs(),
        Audience::Public => Router::new(),
    };
    Routes::forgiving(router.with_state(app.state.clone()), as_spelled)
}

/// A span around each request, where there are traces; else not even a layer.
fn traced(routes: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    if Span::are_recorded() { routes.layer(from_fn(trace::traced)) } else { routes }
}

/// What `EGRESS_PORT` serves. It has no routes: what is called lies elsewhere.
pub fn forward_proxy(app: &App) -> Routes {
    let door = from_fn_with_state(app.doors.puppets.clone(), auth::require_proxy_password);
    let guarded = Router::new().fallback(forward::routes::serve).layer(door);
    guarded.layer(from_fn(forward::routes::refuse_own)).with_state(app.state.clone()).into()
}

async fn only_get_and_post(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::GET | Method::POST => next.run(request).await,
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
