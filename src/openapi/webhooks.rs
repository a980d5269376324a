//! What the gateway itself calls, for those who write a service that takes events.

use utoipa::openapi::path::{HttpMethod, PathItem, Paths};

use crate::services::format::Webhook;

/// Adds the document's `webhooks`. utoipa has the field, and no attribute for it.
pub fn describe(document: &mut utoipa::openapi::OpenApi) {
    let mut webhooks = Paths::new();
    let mut operation = <__path_event as utoipa::Path>::operation();
    // utoipa adds them where it puts an operation among the paths.
    operation.tags = Some(vec!["Services".to_owned()]);
    let item = PathItem::new(HttpMethod::Post, operation);
    webhooks.paths.insert("event".to_owned(), item);
    document.webhooks = Some(webhooks);
}

/// An event for a service
///
/// Sent to the `url` of each service of the corp whose `events` take it, at least once and in order. It is
/// sent again until the answer is 2xx or the service's `ttl` is over. Answers are not read.
#[utoipa::path(
    post, path = "event", operation_id = "event",
    params(
        ("webhook-id" = String, Header, description = "The same whenever the event is repeated: whoever keeps \
            those it has seen takes each event once", example = "msg_4355a46b19d348dc2f57c046f8ef63d4"),
        ("webhook-timestamp" = i64, Header, description = "When it was sent, this time: seconds since 1970",
            example = 1_769_860_800),
        ("webhook-signature" = Option<String>, Header, description = "With a `secret`: `v1,` and the base64 of the \
            HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` (Standard Webhooks)",
            example = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ("msg_signature" = Option<String>, Query, description = "Format `as-received`: WeCom's, like `timestamp` and `nonce`",
            example = "477715d11cdb4164915debcba66cb864d751f3e6"),
        ("timestamp" = Option<String>, Query, description = "Format `as-received`", example = "1409659813"),
        ("nonce" = Option<String>, Query, description = "Format `as-received`", example = "1372623149"),
    ),
    request_body(description = "In the service's `format`", content(
        (Webhook = "application/json"),
        (String = "application/xml", example = "<xml><ToUserName><![CDATA[ww1234567890abcdef]]></ToUserName>…</xml>"),
        (String = "text/xml", example = "<xml><ToUserName><![CDATA[ww1234567890abcdef]]></ToUserName><Encrypt>…</Encrypt></xml>"),
    )),
    responses(
        (status = 200, description = "Taken, like every 2xx"),
        (status = 400, description = "Not taken. After five answers of 4xx other than 408, 425 and 429 the event is given up"),
        (status = 503, description = "Not taken: it is sent again later"),
    ),
    security(()),
)]
#[expect(dead_code, reason = "what calls is the gateway")]
fn event() {}
