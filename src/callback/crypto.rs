//! WeCom's callback crypto: the signature and the AES envelope (WeCom document 91144).
//!
//! Two things differ from what a library gives by default, and both fail real callbacks when done
//! the usual way: padding runs to 32 bytes although an AES block has 16, and an AES key's last
//! character carries bits that a strict base64 decoder refuses (see [`EncodingAesKey`]).
//!
//! [`EncodingAesKey`]: crate::domain::EncodingAesKey

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use constant_time_eq::constant_time_eq;
use sha1::{Digest as _, Sha1};

/// Plaintexts are padded to a multiple of this.
const PADDING: usize = 32;
/// 16 random bytes and the length of the message go before it.
const HEADER: usize = 20;

/// `lower_hex(sha1(sorted(token, timestamp, nonce, encrypted).concat()))`; sorting is by bytes.
pub fn signature(token: &str, timestamp: &str, nonce: &str, encrypted: &str) -> [u8; 40] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut parts = [token, timestamp, nonce, encrypted];
    parts.sort_unstable();
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(hash.finalize()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    hex
}

/// Compares in constant time and exactly: WeCom's signatures are lower case.
pub fn verify(claimed: &str, token: &str, timestamp: &str, nonce: &str, encrypted: &str) -> bool {
    constant_time_eq(&signature(token, timestamp, nonce, encrypted), claimed.as_bytes())
}

/// What an envelope held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub message: Bytes,
    /// For whom it was encrypted: a corp id, a suite id, a provider's corp id, or nothing.
    pub receive_id: Bytes,
}

/// Why an envelope does not open, with the code of WeCom's own libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    #[error("is not base64 (-40010)")]
    NotBase64,
    #[error("is not a whole number of AES blocks (-40007)")]
    NotBlocks,
    #[error("decrypts to no message, so the AES key is another one (-40008)")]
    NotAMessage,
}

/// Opens a base64 envelope: `random(16) ‖ length(4, big-endian) ‖ message ‖ receive id ‖ padding`.
pub fn decrypt(key: &[u8; 32], encrypted: &str) -> Result<Opened, DecryptError> {
    let mut buffer = STANDARD.decode(encrypted).map_err(|_| DecryptError::NotBase64)?;
    decrypt_blocks(key, &mut buffer)?;
    let padding = usize::from(buffer.last().copied().unwrap_or_default());
    if !(1..=PADDING).contains(&padding) || padding + HEADER > buffer.len() {
        return Err(DecryptError::NotAMessage);
    }
    buffer.truncate(buffer.len() - padding);
    let length = u32::from_be_bytes([buffer[16], buffer[17], buffer[18], buffer[19]]);
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(HEADER));
    let Some(end) = end.filter(|&end| end <= buffer.len()) else {
        return Err(DecryptError::NotAMessage);
    };
    let plaintext = Bytes::from(buffer);
    Ok(Opened { message: plaintext.slice(HEADER..end), receive_id: plaintext.slice(end..) })
}

/// Decrypts in place, whatever comes of it.
pub(super) fn decrypt_blocks(key: &[u8; 32], buffer: &mut [u8]) -> Result<(), DecryptError> {
    if buffer.is_empty() || !buffer.len().is_multiple_of(16) {
        return Err(DecryptError::NotBlocks);
    }
    let mut iv = [0; 16];
    iv.copy_from_slice(&key[..16]);
    let decryptor = cbc::Decryptor::<Aes256>::new(key.into(), &iv.into());
    decryptor.decrypt_padded::<NoPadding>(buffer).map(|_| ()).map_err(|_| DecryptError::NotBlocks)
}

/// Seals a message as WeCom does: for the simulator, the tests and the self-check of a set-up.
pub fn encrypt(key: &[u8; 32], random: &[u8; 16], message: &[u8], receive_id: &str) -> String {
    let length = HEADER + message.len() + receive_id.len();
    let padding = PADDING - length % PADDING;
    let mut buffer = Vec::with_capacity(length + padding);
    buffer.extend_from_slice(random);
    buffer.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    buffer.extend_from_slice(message);
    buffer.extend_from_slice(receive_id.as_bytes());
    buffer.resize(length + padding, u8::try_from(padding).unwrap_or_default());
    let mut iv = [0; 16];
    iv.copy_from_slice(&key[..16]);
    let sealed = cbc::Encryptor::<Aes256>::new(key.into(), &iv.into()).encrypt_padded_vec::<NoPadding>(&buffer);
    STANDARD.encode(sealed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = *b"an AES key has thirty-two bytes.";

    proptest! {
        #[test]
        fn opens_what_it_sealed(message: Vec<u8>, random: [u8; 16], receive_id in "[a-z]{0,40}") {
            let opened = decrypt(&KEY, &encrypt(&KEY, &random, &message, &receive_id)).unwrap();
            prop_assert_eq!(opened.message, message);
            prop_assert_eq!(opened.receive_id, receive_id);
        }

        #[test]
        fn survives_any_text(text: String) {
            let _ = decrypt(&KEY, &text);
        }

        #[test]
        fn survives_any_ciphertext(bytes: Vec<u8>) {
            let _ = decrypt(&KEY, &STANDARD.encode(bytes));
        }

        #[test]
        fn survives_any_plaintext(mut blocks in proptest::collection::vec(any::<[u8; 16]>(), 1..6), last: u8) {
            blocks.last_mut().unwrap()[15] = last;
            let iv: [u8; 16] = KEY[..16].try_into().unwrap();
            let sealed = cbc::Encryptor::<Aes256>::new(&KEY.into(), &iv.into())
                .encrypt_padded_vec::<NoPadding>(&blocks.concat());
            let _ = decrypt(&KEY, &STANDARD.encode(sealed));
        }
    }
}
