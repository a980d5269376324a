//! Which credential opens a callback: all of the corp's whose signature matches are tried, because
//! a corp may have several apps, and two of them during a rotation.

use crate::domain::{CallbackCredential, CorpId};
use crate::store::CorpKeys;

use super::crypto::{self, DecryptError, Opened};
use super::query::SignedQuery;

/// Why no credential opened it; the furthest that any came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenFault {
    #[error("no credential of the corp is known yet: declare it, or let a bot register")]
    NoCredential,
    #[error("the signature matches no token of the corp")]
    Signature,
    #[error("the signature is right, but the text {0}")]
    Decrypt(#[from] DecryptError),
    #[error("it was encrypted for another receive id than the corp's")]
    ReceiveId,
}

/// Opens what WeCom encrypted; tells which credential did.
pub fn open<'k>(
    keys: &'k CorpKeys,
    query: &SignedQuery<'_>,
    encrypted: &str,
) -> Result<(Opened, &'k CallbackCredential), OpenFault> {
    if keys.credentials.is_empty() {
        return Err(OpenFault::NoCredential);
    }
    let mut fault = OpenFault::Signature;
    for credential in &keys.credentials {
        let token = credential.pair.token().expose();
        if !crypto::verify(&query.msg_signature, token, &query.timestamp, &query.nonce, encrypted) {
            continue;
        }
        match crypto::decrypt(credential.pair.aes_key().key(), encrypted) {
            Ok(opened) if receives(&credential.receive_ids, &keys.corp, &opened.receive_id) => {
                return Ok((opened, credential));
            }
            Ok(_) => fault = OpenFault::ReceiveId,
            Err(error) if fault != OpenFault::ReceiveId => fault = error.into(),
            Err(_) => {}
        }
    }
    Err(fault)
}

/// Whether a text for this receive id is the corp's: the corp id alone, unless receive ids are given.
pub(super) fn receives(allowed: &[String], corp: &CorpId, receive_id: &[u8]) -> bool {
    if allowed.is_empty() {
        return receive_id == corp.as_str().as_bytes();
    }
    allowed.iter().any(|allowed| allowed.as_bytes() == receive_id)
}
