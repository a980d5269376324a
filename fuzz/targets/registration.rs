//! Bodies of bots: registrations and deregistrations. No answer may repeat a secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wxkf_gateway::http::body::{Encoding, parse_fields};
use wxkf_gateway::manager::registration::{Registration, read_deregistration};

const SECRETS: [&str; 3] = ["corpSecret", "token", "encodingAESKey"];

fuzz_target!(|data: &[u8]| {
    for encoding in [Encoding::Json, Encoding::Form] {
        let Ok(fields) = parse_fields(data, encoding) else { continue };
        let _ = read_deregistration(&fields);
        if let Err(fault) = Registration::read(&fields) {
            for secret in SECRETS.iter().filter_map(|name| fields.get(*name)?.as_str()) {
                assert!(secret.len() < 12 || !fault.contains(secret), "{fault}");
            }
        }
    }
});
