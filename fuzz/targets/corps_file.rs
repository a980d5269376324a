//! `CORPS_FILE`, and with it the admin API's declarations of corps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wxkf_gateway::store::corps_file::parse;
use wxkf_gateway::store::declaration::AnyService;

fuzz_target!(|data: &[u8]| {
    match parse(data, jiff::Timestamp::UNIX_EPOCH, &AnyService) {
        Ok(corps) => assert!(corps.is_sorted_by(|one, other| one.id < other.id), "by id, each once"),
        Err(faults) => assert!(!faults.is_empty()),
    }
});
