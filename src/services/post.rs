//! One call of a service: what it is sent, and what its answer means.

use std::pin::pin;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, StatusCode, header};

use super::filter::EventName;
use super::format::{self, Webhook};
use super::signature::SigningSecret;
use crate::domain::{Content, Service, ServiceEvent, ServiceFormat};
use crate::egress::{self, DenyList};
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
    http: Client,
    denied: DenyList,
}

/// A body with its content type, and the query that goes with it.
struct Message<'e> {
    content_type: &'static str,
    body: Bytes,
    query: Option<&'e str>,
}

impl Poster {
    pub fn new(http: Client, denied: DenyList) -> Self {
        Self { http, denied }
    }

    pub(super) fn denied(&self) -> &DenyList {
        &self.denied
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

    /// One attempt; the client limits its time.
    pub(super) async fn post(&self, service: &Service, event: &ServiceEvent, now: Timestamp) -> Posted {
        if let Some(address) = self.denied.denies_literal(service.url.url()) {
            return Posted::Failed(format!("DISPATCH_DENY_NETWORKS forbids {address}"));
        }
        let Some(message) = message(service.format, event) else {
            return Posted::Refused("its XML cannot be written as JSON".to_owned());
        };
        match self.request(service, event, message, now) {
            Ok(request) => match request.send().await {
                Ok(response) => judge(egress::status_of(response).await),
                Err(error) => failure(&error),
            },
            Err(rule) => Posted::Failed(format!("the secret {rule}")),
        }
    }

    /// By the Standard Webhooks.
    fn request(
        &self,
        service: &Service,
        event: &ServiceEvent,
        message: Message<'_>,
        now: Timestamp,
    ) -> Result<RequestBuilder, String> {
        let mut url = service.url.url().clone();
        if let Some(query) = message.query {
            let own = url.query().map(|own| format!("{own}&")).unwrap_or_default();
            url.set_query(Some(&format!("{own}{query}")));
        }
        let timestamp = now.as_second();
        let mut request = self
            .http
            .post(url)
            .header(header::CONTENT_TYPE, message.content_type)
            .header("webhook-id", &*event.webhook_id)
            .header("webhook-timestamp", timestamp)
            .headers(Trace::current().headers());
        if let Some(secret) = &service.secret {
            let secret = SigningSecret::parse(secret.expose())?;
            request = request.header("webhook-signature", secret.sign(&event.webhook_id, timestamp, &message.body));
        }
        Ok(request.body(message.body))
    }
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
            let name = EventName::in_message(&message)?;
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

fn failure(error: &reqwest::Error) -> Posted {
    let denied = egress::denied(error).map(ToString::to_string);
    Posted::Failed(denied.unwrap_or_else(|| egress::fault_in_words(error, "the service")))
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
