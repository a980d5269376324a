//! One call of a service: what it is sent, and what its answer means.

use std::pin::pin;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use jiff::Timestamp;

use super::filter::EventName;
use super::format::{self, Webhook};
use super::signature::SigningSecret;
use crate::domain::{Content, Service, ServiceEvent, ServiceFormat};
use crate::egress::{Courier, DenyList};
use crate::observe::{Kind, Span, Trace};
use crate::store::QueuedEvent;

/// What came of a call. The texts are for operators and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// 2xx.
    Delivered,
    /// The event itself is at fault, says the service: another 4xx than those of haste.
    Refused(String),
    /// Anything else.
    Failed(String),
}

/// Calls services.
#[derive(Debug, Clone)]
pub struct Poster {
    courier: Courier,
}

/// A body with its content type, and the query that goes with it.
struct Message<'e> {
    content_type: &'static str,
    body: Bytes,
    query: Option<&'e str>,
}

impl Poster {
    pub fn new(courier: Courier) -> Self {
        Self { courier }
    }

    pub(super) fn denied(&self) -> &DenyList {
        self.courier.denied()
    }

    /// One attempt on an event of a queue, in a trace of its own: the queue has no place for the callback's, and
    /// both have the event's id.
    pub(super) async fn deliver(&self, service: &Service, queued: &QueuedEvent, now: Timestamp) -> Posted {
        let event = &queued.event;
        let mut span = Span::begin(Kind::Client, "deliver to service");
        span.set("event.id", &event.id);
        span.set("event.name", &event.name);
        span.set("service", &event.service);
        span.set("webhook.id", &event.webhook_id);
        span.count("event.attempts", queued.attempts);
        let trace = span.trace();
        let posted = trace.around(pin!(self.post(service, event, now))).await;
        if let Posted::Refused(error) | Posted::Failed(error) = &posted {
            span.fail(error);
        }
        posted
    }

    /// One attempt; the courier limits its time.
    pub(super) async fn post(&self, service: &Service, event: &ServiceEvent, now: Timestamp) -> Posted {
        let Some(message) = message(service.format, event) else {
            return Posted::Refused("its XML cannot be written as JSON".to_owned());
        };
        match request(service, event, message, now) {
            Ok(request) => {
                let sent = self.courier.send(request, "the service").await;
                sent.map_or_else(|undelivered| Posted::Failed(undelivered.into_text()), judge)
            }
            Err(fault) => Posted::Failed(fault),
        }
    }
}

/// By the Standard Webhooks.
fn request(
    service: &Service,
    event: &ServiceEvent,
    message: Message<'_>,
    now: Timestamp,
) -> Result<Request<Bytes>, String> {
    let address = match message.query {
        Some(query) => {
            let mark = if service.url.url().query().is_some() { "&" } else { "?" };
            [service.url.url().as_str(), mark, query].concat()
        }
        None => service.url.url().as_str().to_owned(),
    };
    let timestamp = now.as_second();
    let mut request = Request::post(address)
        .header(header::CONTENT_TYPE, message.content_type)
        .header("webhook-id", &*event.webhook_id)
        .header("webhook-timestamp", timestamp);
    if let Some(secret) = &service.secret {
        let secret = SigningSecret::parse(secret.expose()).map_err(|rule| format!("the secret {rule}"))?;
        request = request.header("webhook-signature", secret.sign(&event.webhook_id, timestamp, &message.body));
    }
    let mut request = request.body(message.body).map_err(|error| format!("the event makes no request: {error}"))?;
    request.headers_mut().extend(Trace::current().headers());
    Ok(request)
}

/// In the service's format. What was stored for another one goes as it was stored: raw, or the inner XML.
fn message(format: ServiceFormat, event: &ServiceEvent) -> Option<Message<'_>> {
    let plain = |body: &Bytes| Message { content_type: "application/xml", body: body.clone(), query: None };
    match (&event.content, format) {
        (Content::Raw { query, body }, _) => {
            Some(Message { content_type: "text/xml", body: body.clone(), query: Some(query) })
        }
        (Content::Plain(xml), ServiceFormat::Json) => {
            let message = format::json(xml)?;
            let name = EventName::in_message(&message);
            let webhook = Webhook::new(&event.webhook_id, &event.service.corp, &name, event.arrived_at, message);
            Some(Message { content_type: "application/json", body: webhook.to_body().into(), query: None })
        }
        (Content::Plain(xml), ServiceFormat::DecryptedXml | ServiceFormat::AsReceived) => Some(plain(xml)),
    }
}

/// Whoever is busy, slow or away says 408, 425 or 429 of an event that is in order.
fn judge(status: StatusCode) -> Posted {
    const OF_HASTE: [StatusCode; 3] =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    let answer = format!("the service answered {status}");
    match status {
        status if status.is_success() => Posted::Delivered,
        status if status.is_client_error() && !OF_HASTE.contains(&status) => Posted::Refused(answer),
        _ => Posted::Failed(answer),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::{EventId, ServiceKey};

    fn event(content: Content) -> ServiceEvent {
        ServiceEvent {
            id: EventId::from_text("1"),
            service: ServiceKey::parse("ww1/crm").unwrap(),
            webhook_id: "msg_1".into(),
            name: "click".into(),
            arrived_at: Timestamp::UNIX_EPOCH,
            content,
        }
    }

    #[test]
    fn what_was_stored_for_another_format_goes_as_it_was_stored() {
        let xml = Bytes::from_static(b"<xml><Event>click</Event></xml>");
        let plain = event(Content::Plain(xml.clone()));
        let raw = event(Content::Raw { query: "nonce=1".into(), body: xml.clone() });
        let sent = |format, event: &ServiceEvent| {
            let message = message(format, event).unwrap();
            (message.content_type, message.query.map(str::to_owned), message.body)
        };
        for format in [ServiceFormat::DecryptedXml, ServiceFormat::AsReceived] {
            assert_eq!(sent(format, &plain), ("application/xml", None, xml.clone()));
        }
        for format in [ServiceFormat::Json, ServiceFormat::AsReceived] {
            assert_eq!(sent(format, &raw), ("text/xml", Some("nonce=1".to_owned()), xml.clone()));
        }
        let (content_type, _, body) = sent(ServiceFormat::Json, &plain);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(content_type, "application/json");
        let expected = serde_json::json!({
            "id": "msg_1", "corpId": "ww1", "event": "click", "receivedAt": "1970-01-01T00:00:00Z",
            "message": { "Event": "click" },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn an_event_is_at_fault_only_where_the_service_says_so() {
        for status in [400, 401, 404, 410, 413, 422] {
            assert!(matches!(judge(StatusCode::from_u16(status).unwrap()), Posted::Refused(_)), "{status}");
        }
        for status in [301, 408, 425, 429, 500, 503] {
            assert!(matches!(judge(StatusCode::from_u16(status).unwrap()), Posted::Failed(_)), "{status}");
        }
        assert_eq!(judge(StatusCode::NO_CONTENT), Posted::Delivered);
    }
}
