//! The decrypted XML, and the outer one: whatever a signer may send.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wxkf_gateway::callback::envelope::{Envelope, Message};

fuzz_target!(|data: &[u8]| {
    let _ = Envelope::parse(data);
    if let Ok(message) = Message::parse(data) {
        let _ = (message.is_kf_news(), message.readable_by_bots("ww1"));
    }
});
