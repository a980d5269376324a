//! Callback vectors: published ones of WeCom and its SDKs, made ones with hostile input, and one of each kind
//! of event.

use serde::Deserialize;
use wxkf_gateway::callback::crypto::{self, DecryptError};
use wxkf_gateway::domain::EncodingAesKey;

/// One vector; which fields are present depends on its kind.
#[derive(Debug, Deserialize)]
pub(crate) struct Vector {
    pub id: String,
    pub kind: String,
    #[serde(default)]
    pub token: String,
    pub encoding_aes_key: String,
    pub receive_id: Option<String>,
    #[serde(default)]
    pub timestamp: String,
    #[serde(default)]
    pub nonce: String,
    #[serde(default)]
    pub msg_signature: String,
    #[serde(alias = "echostr")]
    pub encrypt: String,
    pub plaintext: Option<String>,
    pub random_hex: Option<String>,
    pub post_body: Option<String>,
}

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

pub(crate) fn published() -> Vec<Vector> {
    serde_json::from_str::<Vectors>(include_str!("../vectors/published.json")).unwrap().vectors
}

pub(crate) fn made() -> Vec<Vector> {
    serde_json::from_str::<Vectors>(include_str!("../vectors/made.json")).unwrap().vectors
}

/// An event as it reaches a callback URL.
#[derive(Debug, Deserialize)]
pub(crate) struct EventVector {
    /// The name that filters use; some have none.
    pub event: Option<String>,
    /// The inner XML.
    pub xml: String,
}

/// Every kind of event.
pub(crate) fn events() -> Vec<EventVector> {
    #[derive(Deserialize)]
    struct Events {
        vectors: Vec<EventVector>,
    }
    serde_json::from_str::<Events>(include_str!("../vectors/events.json")).unwrap().vectors
}

impl Vector {
    pub(crate) fn key(&self) -> EncodingAesKey {
        EncodingAesKey::parse(&self.encoding_aes_key).unwrap()
    }

    fn is_signed_right(&self) -> bool {
        crypto::verify(&self.msg_signature, &self.token, &self.timestamp, &self.nonce, &self.encrypt)
    }

    fn random(&self) -> [u8; 16] {
        let hex = self.random_hex.as_deref().unwrap();
        let byte = |index: usize| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap();
        std::array::from_fn(byte)
    }
}

#[test]
fn what_others_made_opens_and_is_made_again_to_the_byte() {
    let genuine =
        published().into_iter().chain(made().into_iter().filter(|vector| vector.kind == "synthetic_positive"));
    for vector in genuine {
        let plaintext = vector.plaintext.clone().unwrap();
        let receive_id = vector.receive_id.clone().unwrap_or_default();
        let opened = crypto::decrypt(vector.key().key(), &vector.encrypt).unwrap();
        assert_eq!(opened.message, plaintext, "{}", vector.id);
        assert_eq!(opened.receive_id, receive_id, "{}", vector.id);
        if vector.kind != "encrypt_only" {
            assert!(vector.is_signed_right(), "{}", vector.id);
        }
        let sealed = crypto::encrypt(vector.key().key(), &vector.random(), plaintext.as_bytes(), &receive_id);
        assert_eq!(sealed, vector.encrypt, "{}", vector.id);
    }
}

#[test]
fn hostile_input_is_refused_for_the_right_reason() {
    let mut seen = 0;
    for vector in made().iter().filter(|vector| vector.kind == "synthetic_negative") {
        let opened = crypto::decrypt(vector.key().key(), &vector.encrypt);
        match vector.id.as_str() {
            "neg_bad_signature" | "uppercase_signature" => assert!(!vector.is_signed_right(), "{}", vector.id),
            "neg_wrong_receive_id" => assert_ne!(opened.unwrap().receive_id, "wx5823bf96d3bd56c7"),
            "neg_msg_len_overflow" | "neg_pad_zero" => {
                assert_eq!(opened, Err(DecryptError::NotAMessage), "{}", vector.id)
            }
            "neg_cipher_not_16" => assert_eq!(opened, Err(DecryptError::NotBlocks)),
            "neg_not_base64" => assert_eq!(opened, Err(DecryptError::NotBase64)),
            other => panic!("{other} is new: say what it must do"),
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}
