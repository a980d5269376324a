//! Signatures of what services are sent, after [Standard Webhooks], so that a receiver checks them with a
//! library that exists in its language.
//!
//! Symmetric ones alone: both ends belong to one company.
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::domain::{CorpId, Secret};

const PREFIX: &str = "whsec_";
/// The specification's: 192 to 512 bits.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const GENERATE: &str = "make one with: echo \"whsec_$(openssl rand -base64 32)\"";
/// How far a timestamp may lie from now, either way: what the libraries take.
const TOLERANCE_SECONDS: i64 = 5 * 60;

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    #[error("it is not signed")]
    Missing,
    #[error("its timestamp is no number of seconds")]
    NoTimestamp,
    #[error("it was signed more than five minutes ago, or a clock is wrong")]
    TooOld,
    #[error("it was signed more than five minutes ahead, so a clock is wrong")]
    TooNew,
    #[error("no signature fits: another secret, or the body is not as it was sent")]
    NoMatch,
}

/// The secret that a service shares with the gateway: `whsec_` and base64.
#[derive(Clone)]
pub struct SigningSecret {
    text: Secret,
    /// The key, absorbed already.
    mac: Hmac<Sha256>,
}

impl SigningSecret {
    /// What is wrong is told with the mend, never with the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let told = |fault: &str| format!("{fault}: {GENERATE}");
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return Err(told("must begin with whsec_"));
        };
        // Padded, because not every library of a receiver takes it otherwise.
        let key = STANDARD.decode(encoded).map_err(|_| told("must be whsec_ and base64, padded with ="))?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(told("must hold 24 to 64 bytes"));
        }
        let mac = Hmac::new_from_slice(&key).map_err(|_| told("cannot be used"))?;
        Ok(Self { text: Secret::new(text), mac })
    }

    /// As it was given, for the store.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// The header `webhook-signature`. `id` and `timestamp` (seconds since 1970) are those of the other
    /// two headers; the timestamp is the attempt's, not the event's.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signature = self.over(id, timestamp, body).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(signature))
    }

    /// Checks the three headers of a request as a receiver does.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), SignatureFault> {
        let timestamp: i64 = timestamp.parse().map_err(|_| SignatureFault::NoTimestamp)?;
        match now.as_second().saturating_sub(timestamp) {
            age if age > TOLERANCE_SECONDS => return Err(SignatureFault::TooOld),
            age if age < -TOLERANCE_SECONDS => return Err(SignatureFault::TooNew),
            _ => {}
        }
        let mac = self.over(id, timestamp, body);
        // Several while a secret is being replaced; those of other versions are none of ours.
        let mut ours = signatures.split_ascii_whitespace().filter_map(|signature| signature.strip_prefix("v1,"));
        let fits =
            |signature: &str| STANDARD.decode(signature).is_ok_and(|bytes| mac.clone().verify_slice(&bytes).is_ok());
        if ours.any(fits) { Ok(()) } else { Err(SignatureFault::NoMatch) }
    }

    fn over(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        mac
    }
}

/// In constant time, as [`Secret`] compares.
impl PartialEq for SigningSecret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SigningSecret {}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The header `webhook-id`: by the same plaintext of the same corp, hence the same for WeCom's repeats,
/// which have a new envelope, and on every replica. 128 bits, so that no two events meet in one.
pub fn webhook_id(corp: &CorpId, plaintext: &[u8]) -> String {
    let mut hash = Sha256::new();
    // A corp id holds no zero byte.
    hash.update(corp.as_str());
    hash.update([0]);
    hash.update(plaintext);
    let hash = hash.finalize();
    let mut start = [0; 16];
    start.copy_from_slice(&hash[..16]);
    format!("msg_{:032x}", u128::from_be_bytes(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification's own libraries (their `webhook.test.ts`).
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn verified(secret: &SigningSecret, timestamp: &str, signatures: &str, age: i64) -> Result<(), SignatureFault> {
        secret.verify(ID, timestamp, signatures, BODY, Timestamp::from_second(AT + age).unwrap())
    }

    #[test]
    fn signs_as_the_specification_does() {
        let secret = SigningSecret::parse(SECRET).unwrap();
        assert_eq!(secret.sign(ID, AT, BODY), SIGNATURE);
        assert_eq!(verified(&secret, &AT.to_string(), SIGNATURE, 0), Ok(()));
    }

    #[test]
    fn any_signature_of_this_version_may_fit() {
        let secret = SigningSecret::parse(SECRET).unwrap();
        let at = AT.to_string();
        let several = format!("v1,AAAA v1a,{} {SIGNATURE} v2,x", &SIGNATURE[3..]);
        assert_eq!(verified(&secret, &at, &several, 0), Ok(()));
        for none in ["", &SIGNATURE[3..], "v1,", "v1,g0hM", &SIGNATURE.replace("v1,", "v2,"), &format!("{SIGNATURE}A")]
        {
            assert_eq!(verified(&secret, &at, none, 0), Err(SignatureFault::NoMatch), "{none}");
        }
    }

    #[test]
    fn every_part_is_signed_and_the_time_must_be_near() {
        let secret = SigningSecret::parse(SECRET).unwrap();
        let now = Timestamp::from_second(AT).unwrap();
        let (at, other) = (AT.to_string(), (AT + 1).to_string());
        for (id, at, body) in [("msg_x", &at, BODY), (ID, &other, BODY), (ID, &at, b"{}".as_slice())] {
            assert_eq!(secret.verify(id, at, SIGNATURE, body, now), Err(SignatureFault::NoMatch));
        }
        for (age, expected) in
            [(300, Ok(())), (-300, Ok(())), (301, Err(SignatureFault::TooOld)), (-301, Err(SignatureFault::TooNew))]
        {
            assert_eq!(verified(&secret, &at, SIGNATURE, age), expected, "{age}");
        }
        assert_eq!(verified(&secret, "soon", SIGNATURE, 0), Err(SignatureFault::NoTimestamp));
        assert_eq!(verified(&secret, &i64::MIN.to_string(), SIGNATURE, 0), Err(SignatureFault::TooOld));
        let another = SigningSecret::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(verified(&another, &at, SIGNATURE, 0), Err(SignatureFault::NoMatch));
    }

    #[test]
    fn a_wrong_secret_is_told_with_its_mend_and_not_repeated() {
        let encoded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        let wrong = [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_secret!",
            "whsec_MfKQ",
            &encoded(23),
            &encoded(65),
        ];
        for text in wrong {
            let told = SigningSecret::parse(text).unwrap_err();
            assert!(told.contains("openssl rand"), "{text}: {told}");
            assert!(text.len() < 7 || !told.contains(&text[6..]), "{told}");
        }
        let unpadded = encoded(32).trim_end_matches('=').to_owned();
        assert!(SigningSecret::parse(&unpadded).unwrap_err().contains("padded"));
        for bytes in [24, 32, 64] {
            let secret = SigningSecret::parse(&encoded(bytes)).unwrap();
            assert_eq!(secret.text().expose(), encoded(bytes));
            assert_eq!(format!("{secret:?}"), "***");
        }
    }

    #[test]
    fn an_id_is_of_the_corp_and_the_plaintext() {
        let (one, other) = (CorpId::parse("ww1").unwrap(), CorpId::parse("ww12").unwrap());
        // sha256 of "ww1", a zero byte and "2<xml/>"
        assert_eq!(webhook_id(&one, b"2<xml/>"), "msg_08c81454a472e5a99cca0996856bdafd");
        assert_ne!(webhook_id(&one, b"2<xml/>"), webhook_id(&other, b"<xml/>"));
        assert_ne!(webhook_id(&one, b"<xml/>"), webhook_id(&one, b"<xml></xml>"));
    }
}
