//! Callbacks as they go over the wire: sealed and signed (document 91144).

use super::events::cdata;
use crate::callback::crypto;
use crate::domain::{Clock, EncodingAesKey, Invalid, Secret};

/// What seals a corp's callbacks, as its administrator typed it in.
#[derive(Debug, Clone)]
pub struct Credential {
    pub token: Secret,
    pub aes_key: EncodingAesKey,
    /// For whom it is sealed: the corp id, a suite id, a provider's corp id, or nothing.
    pub receive_id: String,
}

impl Credential {
    pub fn new(receive_id: &str, token: &str, aes_key: &str) -> Result<Self, Invalid> {
        let aes_key = EncodingAesKey::parse(aes_key)?;
        Ok(Self { token: Secret::new(token), aes_key, receive_id: receive_id.to_owned() })
    }
}

/// A callback as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCallback {
    /// `msg_signature=…&timestamp=…&nonce=…`
    pub query: String,
    /// The outer XML.
    pub body: String,
}

/// What makes two envelopes of the same plaintext differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Seconds since 1970.
    pub timestamp: String,
    pub nonce: String,
    pub random: [u8; 16],
}

impl Stamp {
    /// The present time, and chance.
    pub fn now() -> Self {
        let timestamp = Clock::default().now().as_second().to_string();
        Self { timestamp, nonce: rand::random::<u32>().to_string(), random: rand::random() }
    }
}

/// Seals and signs an inner XML, for tests that post it themselves.
pub fn signed_callback(credential: &Credential, inner_xml: &str) -> SignedCallback {
    stamped_callback(credential, inner_xml, &Stamp::now())
}

/// The same, with every byte decided by the caller.
pub fn stamped_callback(credential: &Credential, inner_xml: &str, stamp: &Stamp) -> SignedCallback {
    let encrypted = seal(credential, inner_xml, stamp);
    // 3010151 is the AgentID of real customer service callbacks (rwsbillyang wxSDK, WxkfEvent.kt).
    let body = format!(
        "<xml><ToUserName>{}</ToUserName><Encrypt>{}</Encrypt><AgentID>{}</AgentID></xml>",
        cdata(&credential.receive_id),
        cdata(&encrypted),
        cdata("3010151"),
    );
    SignedCallback { query: signed_query(credential, stamp, &encrypted), body }
}

/// The query of a URL verification whose answer must be exactly `message`.
pub fn verification_query(credential: &Credential, message: &str, stamp: &Stamp) -> String {
    let encrypted = seal(credential, message, stamp);
    let echo: String = form_urlencoded::byte_serialize(encrypted.as_bytes()).collect();
    format!("{}&echostr={echo}", signed_query(credential, stamp, &encrypted))
}

fn seal(credential: &Credential, message: &str, stamp: &Stamp) -> String {
    crypto::encrypt(credential.aes_key.key(), &stamp.random, message.as_bytes(), &credential.receive_id)
}

fn signed_query(credential: &Credential, stamp: &Stamp, encrypted: &str) -> String {
    let hex = crypto::signature(credential.token.expose(), &stamp.timestamp, &stamp.nonce, encrypted);
    let signature: String = hex.iter().copied().map(char::from).collect();
    format!("msg_signature={signature}&timestamp={}&nonce={}", stamp.timestamp, stamp.nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published by Tencent and others, and made here: our envelope is theirs, byte for byte.
    #[test]
    fn seals_exactly_as_the_vectors() {
        let files =
            [include_str!("../../../tests/vectors/published.json"), include_str!("../../../tests/vectors/made.json")];
        let mut compared = 0;
        for file in files {
            let file: serde_json::Value = serde_json::from_str(file).unwrap();
            for vector in file["vectors"].as_array().unwrap() {
                let text = |name: &str| vector[name].as_str();
                let (Some(plaintext), Some(random), Some(signature)) =
                    (text("plaintext"), text("random_hex"), text("msg_signature"))
                else {
                    continue;
                };
                let is_hostile = text("id").unwrap().starts_with("neg_") || text("id") == Some("uppercase_signature");
                let Some(sealed) = text("encrypt").or(text("echostr")).filter(|_| !is_hostile) else { continue };
                let hex = |at: usize| u8::from_str_radix(&random[at * 2..at * 2 + 2], 16).unwrap();
                let stamp = Stamp {
                    timestamp: text("timestamp").unwrap().to_owned(),
                    nonce: text("nonce").unwrap().to_owned(),
                    random: std::array::from_fn(hex),
                };
                let key = text("encoding_aes_key").unwrap();
                let credential = Credential::new(text("receive_id").unwrap(), text("token").unwrap(), key).unwrap();
                let callback = stamped_callback(&credential, plaintext, &stamp);
                assert!(
                    callback.body.contains(&format!("<Encrypt><![CDATA[{sealed}]]></Encrypt>")),
                    "{}",
                    vector["id"]
                );
                assert!(callback.query.starts_with(&format!("msg_signature={signature}&")), "{}", vector["id"]);
                compared += 1;
            }
        }
        assert_eq!(compared, 17, "every good vector that has a signature");
    }
}
