//! The head of the OpenAPI document: what the gateway is, its tags and its doors. The operations
//! come from the handlers (`router.rs`).

pub mod docs;
mod webhooks;

use std::sync::Arc;

use axum::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::services::format::{Element, Webhook};

pub use webhooks::describe as describe_webhooks;

/// The document's head.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "wxkf-gateway",
        description = "The manager gateway between WeCom customer service (微信客服) and its bots.",
        contact(),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "The gateway itself")),
    tags(
        (name = "WeCom", description = "What WeCom calls: the callback URL of a corp"),
        (name = "Bots", description = "What bots and other programs of the corp call"),
        (name = "Services", description = "What the gateway calls: other services of a corp's app"),
        (name = "Admin", description = "What operators call, with `ADMIN_TOKEN`"),
        (name = "Operations", description = "Health, metrics and this document"),
    ),
    components(schemas(Webhook, Element)),
    modifiers(&Doors),
)]
pub struct Head;

struct Doors;

impl Modify for Doors {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let door = |scheme, description: &str| {
            let mut http = Http::new(scheme);
            http.description = Some(description.to_owned());
            SecurityScheme::Http(http)
        };
        components.add_security_scheme("adminToken", door(HttpAuthScheme::Bearer, "`ADMIN_TOKEN`"));
        components.add_security_scheme(
            "puppetPassword",
            door(HttpAuthScheme::Basic, "`PUPPET_PASSWORD` with any user name, where it is set"),
        );
        components.add_security_scheme(
            "puppetPasswordBearer",
            door(HttpAuthScheme::Bearer, "`PUPPET_PASSWORD`, where it is set"),
        );
    }
}

/// Says of every operation that asks for a password how a crowd of wrong ones is answered: the door
/// answers, so that no handler says it.
pub fn describe_doors(document: &mut utoipa::openapi::OpenApi) {
    let items = document.paths.paths.values_mut();
    let operations =
        items.flat_map(|item| [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.head]);
    operations.flatten().for_each(describe_door);
}

fn describe_door(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    let Some(RefOr::T(unauthorized)) = responses.get("401") else { return };
    let mut turned_away = unauthorized.clone();
    "Too many wrong passwords at once, from anywhere: `Retry-After` says when to come back"
        .clone_into(&mut turned_away.description);
    responses.insert("429".to_owned(), RefOr::T(turned_away));
}

/// The document as it is served, printed and committed: the same bytes.
#[derive(Debug, Clone)]
pub struct Document(Arc<str>);

impl Document {
    pub fn new(document: &utoipa::openapi::OpenApi) -> Self {
        // The router's spelling of a parameter that may hold slashes, which OpenAPI does not know.
        let text = document.to_pretty_json().unwrap_or_default().replace("{*path}", "{path}");
        Self(format!("{text}\n").into())
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

/// This document
///
/// The same bytes as `wxkf-gateway openapi` prints.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "Operations",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json",
        example = json!({ "openapi": "3.1.0", "info": { "title": "wxkf-gateway" } }))),
    security(()),
)]
pub async fn serve(Extension(document): Extension<Document>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document.text().to_owned())
}
