//! How far an AES key opens a text, also one that was changed or cut on its way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::cause::TextFault;
use crate::callback::crypto::{self, Opened};

/// WeCom pads to whole pairs of AES blocks.
const UNIT: usize = 32;
/// So many blocks are looked at. Chance makes one readable block of ten million.
const BLOCKS: usize = 256;

pub(super) enum Opening {
    Whole(Opened),
    /// Parts of it are readable: the key is right, the text is not.
    Partly,
    Nothing,
}

impl Opening {
    pub(super) fn of(key: &[u8; 32], encrypted: &str) -> Self {
        match crypto::decrypt(key, encrypted) {
            Ok(opened) => Self::Whole(opened),
            Err(_) if is_partly_readable(key, encrypted) => Self::Partly,
            Err(_) => Self::Nothing,
        }
    }
}

fn is_partly_readable(key: &[u8; 32], encrypted: &str) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let mut characters: Vec<u8> = encrypted.bytes().take_while(is_base64).take(BLOCKS * 16 / 3 * 4).collect();
    characters.truncate(characters.len() / 4 * 4);
    let Ok(mut blocks) = STANDARD_NO_PAD.decode(&characters) else { return false };
    blocks.truncate(blocks.len() / 16 * 16);
    let is_readable = |block: &[u8]| block.iter().all(|byte| (b' '..=b'~').contains(byte));
    crypto::decrypt_blocks(key, &mut blocks).is_ok() && blocks.chunks_exact(16).any(is_readable)
}

/// Why a text cannot be one of WeCom's, whatever the key.
pub(super) fn fault_of(encrypted: &str) -> Option<TextFault> {
    let body = encrypted.trim_end_matches('=');
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if !body.bytes().all(is_base64) {
        return Some(TextFault::Altered);
    }
    let bytes = body.len() / 4 * 3 + [0, 0, 1, 2][body.len() % 4];
    let whole = encrypted.len().is_multiple_of(4) && bytes > 0 && bytes.is_multiple_of(UNIT);
    (!whole).then_some(TextFault::Cut)
}

/// Whether message and receive id are text, as all of WeCom's are. A changed ciphertext opens to bytes
/// of chance, if at all.
pub(super) fn is_clean(opened: &Opened) -> bool {
    let is_odd = |character: char| character.is_control() && !matches!(character, '\r' | '\n' | '\t');
    let is_text = std::str::from_utf8(&opened.message).is_ok_and(|text| !text.contains(is_odd));
    is_text && opened.receive_id.iter().all(u8::is_ascii_graphic)
}
