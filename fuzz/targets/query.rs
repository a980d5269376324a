//! Query strings: of callbacks, of token requests.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wxkf_gateway::access_token::query;
use wxkf_gateway::callback::query::SignedQuery;

fuzz_target!(|data: &str| {
    if let Ok(signed) = SignedQuery::parse(data) {
        let _ = signed.echostr();
    }
    let _ = query::parse(data);
});
