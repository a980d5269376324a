//! The OpenAPI document, as it is committed and served, and what it is made of: its head here, tags, and what doors
//! answer. The operations come from the handlers (`router.rs`).

pub mod docs;
mod doors;
mod webhooks;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::{Array, Ref, RefOr, Schema};

use crate::http::problem::Problem;
use crate::services::format::{Element, Webhook};

pub use doors::describe as describe_doors;
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
    components(schemas(Webhook, Element, Problem)),
)]
pub struct Head;

/// utoipa writes the type of a page's items out, beside the component that says the same.
pub fn name_items_of_pages(document: &mut utoipa::openapi::OpenApi) {
    let schemas = &mut document.components.get_or_insert_default().schemas;
    for (name, schema) in schemas.iter_mut() {
        let (Some(item), RefOr::T(Schema::Object(page))) = (name.strip_prefix("Page_"), schema) else { continue };
        if let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items") {
            *items = Array::new(Ref::from_schema_name(item));
        }
    }
}

/// The document as it is committed, printed and served. A test compares it with the routes: made of them at each start,
/// it would take as much memory as everything else.
pub const DOCUMENT: &str = include_str!("../openapi/openapi.json");

/// The text of a document.
pub fn text(document: &utoipa::openapi::OpenApi) -> String {
    // The router's spelling of a parameter that may hold slashes, which OpenAPI does not know.
    let text = document.to_pretty_json().unwrap_or_default().replace("{*path}", "{path}");
    text + "\n"
}

/// This document
///
/// The same bytes as `wxkf-gateway openapi` prints.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "Operations",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json",
        example = json!({ "openapi": "3.1.0", "info": { "title": "wxkf-gateway" } }))),
)]
pub async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
