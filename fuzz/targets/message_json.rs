//! The decrypted XML on its way to services: its name, and its JSON, which must be read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use wxkf_gateway::services::filter::{EventName, Filter};
use wxkf_gateway::services::format;

fuzz_target!(|data: &[u8]| {
    let Some(message) = format::json(data) else { return };
    let text = serde_json::to_string(&message).expect("strings, maps and lists");
    assert_eq!(serde_json::from_str::<Map<String, Value>>(&text).expect("JSON that others read"), message);
    if let Some(name) = EventName::of(data) {
        let everything = Filter::parse(&["*".to_owned()]).expect("a filter");
        assert!(everything.takes(&name));
        if let Ok(own) = Filter::parse(&[name.to_string()]) {
            assert!(own.takes(&name));
        }
    }
});
