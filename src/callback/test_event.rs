//! An event that nobody caused, sealed as WeCom seals: for whoever asks whether a service is reached.

use std::sync::Arc;

use bytes::Bytes;

use super::{Callbacks, Refusal, crypto};
use crate::domain::{CallbackCredential, Content, CorpId, EventId, Service, ServiceEvent, ServiceFormat, ServiceKey};
use crate::services::signature::webhook_id;

const NAME: &str = "wxkf_gateway_test";

/// The event, or why there is none.
#[derive(Debug)]
pub enum TestEvent {
    Made(ServiceEvent),
    /// As received it must be sealed, and nothing is known to seal with.
    NoCredential,
}

impl Callbacks {
    /// In the form of the service's format.
    pub async fn test_event(&self, corp: &CorpId, service: &Service) -> Result<TestEvent, Refusal> {
        let known = self.corp(corp.as_str()).await?;
        let now = self.clock.now();
        let message = format!(
            "<xml><ToUserName><![CDATA[{corp}]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>\
             <CreateTime>{}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{NAME}]]></Event>\
             <TestId><![CDATA[{:016x}]]></TestId></xml>",
            now.as_second(),
            rand::random::<u64>(),
        );
        let content = match service.format {
            ServiceFormat::DecryptedXml | ServiceFormat::Json => Content::Plain(message.clone().into()),
            ServiceFormat::AsReceived => match known.keys.credentials.first() {
                Some(credential) => sealed(corp, credential, &message, now.as_second()),
                None => return Ok(TestEvent::NoCredential),
            },
        };
        Ok(TestEvent::Made(ServiceEvent {
            id: EventId::in_order(now),
            service: ServiceKey { corp: corp.clone(), name: service.name.clone() },
            webhook_id: webhook_id(corp, message.as_bytes()).into(),
            name: NAME.into(),
            arrived_at: now,
            content,
        }))
    }
}

fn sealed(corp: &CorpId, credential: &CallbackCredential, message: &str, timestamp: i64) -> Content {
    let receive_id = credential.receive_ids.first().map_or(corp.as_str(), String::as_str);
    let encrypted = crypto::encrypt(credential.pair.aes_key().key(), &rand::random(), message.as_bytes(), receive_id);
    let (timestamp, nonce) = (timestamp.to_string(), rand::random::<u32>().to_string());
    let signature = crypto::signature(credential.pair.token().expose(), &timestamp, &nonce, &encrypted);
    let signature: String = signature.iter().copied().map(char::from).collect();
    let query: Arc<str> = format!("msg_signature={signature}&timestamp={timestamp}&nonce={nonce}").into();
    let body =
        format!("<xml><ToUserName><![CDATA[{corp}]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>");
    Content::Raw { query, body: Bytes::from(body) }
}
