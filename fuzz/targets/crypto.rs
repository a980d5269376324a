//! Decryption of anything, and of what a signer cut, turned or glued.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wxkf_gateway::callback::crypto;
use wxkf_gateway::domain::EncodingAesKey;

fuzz_target!(|data: &[u8]| {
    let key = EncodingAesKey::parse("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C").expect("a key");
    let text = String::from_utf8_lossy(data);
    let _ = crypto::decrypt(key.key(), &text);
    let _ = EncodingAesKey::parse(&text);
    let _ = crypto::verify(&text, "token", &text, &text, &text);
    if let Some((&at, message)) = data.split_first() {
        let mut sealed = crypto::encrypt(key.key(), &[at; 16], message, "ww1").into_bytes();
        let place = usize::from(at) * 7 % sealed.len();
        sealed[place] = if sealed[place] == b'A' { b'B' } else { b'A' };
        let _ = crypto::decrypt(key.key(), &String::from_utf8_lossy(&sealed));
        sealed.truncate(place);
        let _ = crypto::decrypt(key.key(), &String::from_utf8_lossy(&sealed));
    }
});
