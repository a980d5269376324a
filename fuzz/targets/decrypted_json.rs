//! Events that another gateway decrypted, as JSON or as a form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wxkf_gateway::callback::DecryptedEvent;
use wxkf_gateway::domain::Trust;
use wxkf_gateway::http::body::{Encoding, parse_fields};

fuzz_target!(|data: &[u8]| {
    for encoding in [Encoding::Json, Encoding::Form] {
        if let Ok(fields) = parse_fields(data, encoding) {
            let _ = DecryptedEvent::read(fields, Trust::Unsigned);
        }
    }
});
